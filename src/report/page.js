// The slider shows one grid of pictures at a time.
for (const figure of document.querySelectorAll(".frames")) {
  const slider = figure.querySelector("input"), frames = figure.querySelectorAll("[data-caption]");
  slider?.addEventListener("input", () => {
    frames.forEach((frame, i) => { frame.hidden = i !== slider.valueAsNumber; });
    figure.querySelector("output").value = frames[slider.valueAsNumber].dataset.caption;
  });
}
