//! How one sample comes out of noise, for a page.

use std::path::Path;

use image::RgbImage;
use kuva::backend::svg::SvgBackend;
use kuva::render::render::{Primitive, Scene};

use super::html::escape;
use super::picture::Embedded;
use crate::data::ImageShape;
use crate::diffusion::Prediction;
use crate::error::Result;
use crate::sample::{Draw, Pictures, SampleId, Sampler, Source, Which, ensure_finite};
use crate::tensor::{DType, Device};

/// Steps that are shown, of more those that are spread evenly.
const MOST_STEPS: usize = 8;
/// Points of a cloud.
const POINTS: u64 = 400;
/// Pixels of a cloud's side.
const CLOUD: f64 = 150.0;

/// A step that is shown, of one or more samples [N, H, W, C].
struct Step {
    /// The i of the state x_i that it starts from.
    from: usize,
    state: Vec<f32>,
    /// The x_0 that is predicted from it; the next state, where none is.
    predicted: Vec<f32>,
}

/// Every x_t with the x_0 predicted from it, from noise on: of a picture, or of a cloud of points. HTML.
///
/// Errors: no checkpoint, a damaged one; a device that fails.
pub fn trajectory(run: &Path, seed: u64, device: &Device) -> Result<String> {
    let source = Source::open(run, Which::Newest, false, DType::F32, device)?;
    let Source { generator, process, step, averaged, .. } = &source;
    let config = generator.config();
    let (side, channels) = (config.image_size, config.num_channels);
    let shape = ImageShape { height: side, width: side, channels };
    let points = shape == ImageShape::POINT;
    let draws: Vec<Draw> =
        (0..if points { POINTS } else { 1 }).map(|index| Draw::Plain(SampleId { seed, index })).collect();
    let sampler = Sampler::new(generator, process, DType::F32, device.clone());
    let count = process.steps().len();
    let shown: Vec<usize> = evenly(count, MOST_STEPS).collect();
    let (mut numbered, mut steps) = (process.steps().enumerate(), Vec::new());
    let last = sampler.trace(&draws, |state, denoised| {
        let (number, t) = numbered.next().expect("as many as there are steps");
        if shown.contains(&number) {
            steps.push(Step { from: t + 1, state: state.to_f32(), predicted: denoised.x0.to_f32() });
        }
    })?;
    let last = last.to_f32();
    ensure_finite(&last)?;

    let reach = last.iter().fold(1.0, |max: f32, x| max.max(x.abs())) * 1.3;
    let show = |values: &[f32], alt: &str| match points {
        true => cloud(values, reach, alt),
        false => picture(values, shape).html(alt),
    };
    let frame = |caption: &str, values: &[f32]| {
        format!("<figure>{}<figcaption>{}</figcaption></figure>", show(values, caption), subscripted(caption))
    };
    let below = if process.prediction() == Prediction::Previous { "next state" } else { "predicted x_0" };
    let columns = steps.iter().map(|Step { from, state, predicted }| {
        format!("<div>{}{}</div>\n", frame(&format!("x_{from}"), state), frame(below, predicted))
    });
    let what = if points { format!("{POINTS} points") } else { format!("Sample 0 of seed {seed}") };
    let parameters = if *averaged { "averaged" } else { "raw" };
    let caption = format!("{what}, {parameters} parameters after {step} steps, {count} denoising steps");
    Ok(format!(
        "<p>{}</p>\n<div class=\"trajectory\">\n{}<div>{}</div>\n</div>\n",
        escape(&caption),
        columns.collect::<String>(),
        frame("x_0", &last),
    ))
}

/// At most `most` of the numbers below `count`, evenly spread, both ends among them.
pub fn evenly(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let shown = count.min(most);
    (0..shown).map(move |i| if shown < 2 { 0 } else { i * (count - 1) / (shown - 1) })
}

/// `x_12` with its index below the line.
fn subscripted(text: &str) -> String {
    match text.split_once('_') {
        Some((name, index)) => format!("{}<sub>{}</sub>", escape(name), escape(index)),
        None => escape(text),
    }
}

fn picture(values: &[f32], shape: ImageShape) -> Embedded {
    let mut pictures = Pictures::new(shape);
    pictures.push(values);
    let bytes = pictures.pixels();
    let rgb = match shape.channels {
        3 => bytes.to_vec(),
        // Of other numbers of channels, the first as grey.
        channels => bytes.chunks_exact(channels).flat_map(|pixel| [pixel[0]; 3]).collect(),
    };
    let pixels = RgbImage::from_raw(shape.width as u32, shape.height as u32, rgb).expect("three bytes a pixel");
    Embedded::png(&pixels)
}

/// What lies beyond `reach` is left out.
fn cloud(values: &[f32], reach: f32, alt: &str) -> String {
    let at = |c: f32| f64::from((c / reach + 1.0) / 2.0) * CLOUD;
    let inside = |p: &&[f32; 2]| p.iter().all(|c| c.abs() < reach);
    let (cx, cy) = values.as_chunks::<2>().0.iter().filter(inside).map(|&[x, y]| (at(x), at(-y))).unzip();
    let mut scene = Scene::new(CLOUD, CLOUD).with_background(None);
    let (fill, stroke, stroke_width) = ("none".into(), Some("var(--grid)".into()), Some(1.0));
    let (x, y, width, height) = (0.5, 0.5, CLOUD - 1.0, CLOUD - 1.0);
    scene.add(Primitive::Rect { x, y, width, height, fill, stroke, stroke_width, opacity: None });
    let (fill, fill_opacity) = ("var(--c0)".into(), Some(0.6));
    scene.add(Primitive::CircleBatch { cx, cy, r: 1.3, fill, fill_opacity, stroke: None, stroke_width: None });
    let head = format!("<svg viewBox=\"0 0 {CLOUD} {CLOUD}\" role=\"img\" aria-label=\"{}\" ", escape(alt));
    SvgBackend::new().render_scene(&scene).replacen("<svg ", &head, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_shown() {
        assert_eq!(evenly(3, 8).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(evenly(200, 8).collect::<Vec<_>>(), [0, 28, 56, 85, 113, 142, 170, 199]);
        assert_eq!(evenly(1, 8).collect::<Vec<_>>(), [0]);
        assert_eq!(evenly(0, 8).count(), 0);
    }
}
