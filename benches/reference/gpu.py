#!/usr/bin/env python3
"""The reference on a GPU, against which ours is measured in the same run.

    gpu.py --variant f32|tf32|bf16|compile [--cases a,b] [--out FILE]     one JSON object a case, as soon as it is there
    gpu.py --table FILE...                                                a Markdown table of such objects, ours too

f32      eager, without TF32        bf16     eager, channels_last: weights in bf16 for sampling, autocast for training
tf32     eager, with TF32           compile  as bf16, and torch.compile's max-autotune with CUDA graphs

Our side is `cargo bench --bench step` with DDGAN_BENCH_DEVICE=cuda. The table needs the standard library alone.
"""

import argparse
import json
import pathlib
import statistics
import sys
import time

# (width, pictures at once); sampling takes T = 4 steps, the discriminator's ngf is 64, training steps have no R1.
CASES = {
    "sample4_w128_b100": ("sample", 128, 100), "train_w128_b64": ("train", 128, 64), "forward_w128_b16": ("forward", 128, 16),
    "forward_w128_b1": ("forward", 128, 1),
}
# For trying the script itself where there is no GPU.
TRIAL = {"forward_w8_b1": ("forward", 8, 1), "sample4_w8_b2": ("sample", 8, 2), "train_w8_b2": ("train", 8, 2)}
VARIANTS = ("f32", "tf32", "bf16", "compile")


def table(files):
    """The medians, a row for each case and a column for each who measured it; the best of PyTorch's by ours."""
    seconds, order = {}, []
    for line in (line for path in files for line in path.read_text().splitlines() if line.startswith("{")):
        report = json.loads(line)
        if "seconds" in report:
            who = report.get("variant", "?")
            seconds.setdefault(report["case"], {})[who] = statistics.median(report["seconds"])
            if who not in order:
                order.append(who)
    print("| ms | " + " | ".join(order) + " | best of PyTorch / ours |")
    print("|---" * (len(order) + 2) + "|")
    for case, by in seconds.items():
        ours = [s for who, s in by.items() if who.startswith("ours")]
        theirs = [s for who, s in by.items() if not who.startswith("ours")]
        ratio = f"{min(theirs) / min(ours):.2f}" if ours and theirs else ""
        print(f"| {case} | " + " | ".join(f"{1e3 * by[who]:.3f}" if who in by else "" for who in order) + f" | {ratio} |")


def settings(variant):
    """What PyTorch is told for a variant: (weights and activations of sampling, whether to compile)."""
    import torch

    tf32 = variant == "tf32"
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = True
    return torch.bfloat16 if variant in ("bf16", "compile") else torch.float32, variant == "compile"


def build(kind, width, batch, variant, device):
    """What is to be timed."""
    import torch

    import diffusion
    import model
    from step import CIFAR

    dtype, compiled = settings(variant)
    nhwc = torch.channels_last
    weights = torch.float32 if kind == "train" else dtype
    model.FIR = model.FIR.to(device, weights)
    maybe_compile = (lambda m: torch.compile(m, mode="max-autotune")) if compiled else (lambda m: m)
    schedule = diffusion.schedule(CIFAR.num_timesteps)
    for name, value in vars(schedule).items():
        if isinstance(value, torch.Tensor):
            setattr(schedule, name, value.to(device))

    def noise():
        return torch.randn(batch, CIFAR.channels, 32, 32, device=device, dtype=weights).contiguous(memory_format=nhwc)

    def latent():
        return torch.randn(batch, CIFAR.nz, device=device, dtype=weights)

    def network(net):
        return net.to(device, weights, memory_format=nhwc)

    if kind != "train":
        generator = maybe_compile(network(model.Generator(num_channels_dae=width)).eval())
        times = [torch.full((batch,), i, device=device) for i in range(CIFAR.num_timesteps)]
        x, z = noise(), latent()

        @torch.no_grad()
        def forward():
            torch.compiler.cudagraph_mark_step_begin()
            generator(x, times[0], z)

        @torch.no_grad()
        def sample():
            x = noise()
            for t in reversed(times):
                torch.compiler.cudagraph_mark_step_begin()
                x = diffusion.posterior(schedule, generator(x, t, latent()), x, t, noise()).to(weights)

        return forward if kind == "forward" else sample

    g, d = network(model.Generator(num_channels_dae=width)), network(model.Discriminator())
    opt_g = torch.optim.Adam(g.parameters(), CIFAR.lr_g, CIFAR.betas, fused=True)
    opt_d = torch.optim.Adam(d.parameters(), CIFAR.lr_d, CIFAR.betas, fused=True)
    ema = diffusion.Ema(g.parameters(), CIFAR.ema)
    real = torch.rand(batch, CIFAR.channels, 32, 32, device=device).mul(2).sub(1).contiguous(memory_format=nhwc)
    fast_g, fast_d = maybe_compile(g), maybe_compile(d)

    def draws():
        t = torch.randint(0, CIFAR.num_timesteps, (batch,), device=device)
        return diffusion.SimpleNamespace(t=t, noise_t=noise(), noise_t1=noise(), z=latent(), noise_post=noise())

    def run():
        torch.compiler.cudagraph_mark_step_begin()
        with torch.autocast(device, torch.bfloat16, enabled=dtype == torch.bfloat16):
            diffusion.discriminator_step(schedule, fast_g, fast_d, opt_d, real, draws(), None, True)
            torch.compiler.cudagraph_mark_step_begin()
            diffusion.generator_step(schedule, fast_g, fast_d, opt_g, ema, real, draws())

    return run


def measure(run, device, repeats):
    """Seconds of each repetition, after what compiles and warms up."""
    import torch

    synchronize = torch.cuda.synchronize if device == "cuda" else lambda: None
    for _ in range(3):
        run()
    seconds = []
    for _ in range(repeats):
        synchronize()
        start = time.perf_counter()
        run()
        synchronize()
        seconds.append(time.perf_counter() - start)
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", nargs="+", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--variant", choices=VARIANTS)
    parser.add_argument("--cases", default=",".join(CASES), help="comma-separated (all: %(default)s)")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--out", type=pathlib.Path, help="append to this file too")
    args = parser.parse_args()
    if args.table:
        return table(args.table)
    if not args.variant:
        parser.error("--variant or --table")
    try:
        import torch
    except ImportError:
        print("PyTorch was not found")
        sys.exit(77)
    if args.device == "cuda" and not torch.cuda.is_available():
        sys.exit("PyTorch finds no GPU")
    failed = False
    for case in args.cases.split(","):
        kind, width, batch = (CASES | TRIAL)[case]
        report = {"case": case, "variant": f"PyTorch {args.variant}", "torch": torch.__version__}
        torch.manual_seed(0)
        try:
            report["seconds"] = measure(build(kind, width, batch, args.variant, args.device), args.device, args.repeats)
        except Exception as error:  # the other cases are worth having all the same
            report["error"], failed = f"{type(error).__name__}: {error}"[:1000], True
        line = json.dumps(report)
        print(line, flush=True)
        if args.out:
            with args.out.open("a") as file:
                file.write(line + "\n")
        if args.device == "cuda":
            torch.cuda.empty_cache()
    sys.exit(failed)


if __name__ == "__main__":
    main()
