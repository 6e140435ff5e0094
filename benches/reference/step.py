"""One measurement of the reference, in one process: step.py --case NAME --repeats N

Prints one JSON object: `seconds` of each repetition after the warm-up, `peak_mib` (the process's peak resident memory)
and `idle_mib` (resident with PyTorch loaded, before any network exists).
"""

import argparse
import json
import os
import resource
import time
from types import SimpleNamespace

import torch

import diffusion
from model import Discriminator, Generator

NZ, T = 100, 4
CIFAR = dict(lr_g=1.6e-4, lr_d=1.25e-4, betas=(0.5, 0.9), ema=0.9999, r1_gamma=0.02)


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def draw(batch):
    """What one half of an iteration draws: indices, two noises of the pair, the latent, the posterior's noise."""
    def noise():
        return torch.randn(batch, 3, 32, 32).contiguous(memory_format=torch.channels_last)

    return SimpleNamespace(t=torch.randint(0, T, (batch,)), noise_t=noise(), noise_t1=noise(), z=torch.randn(batch, NZ),
                           noise_post=noise())


def forward(args, width, batch):
    generator = Generator(num_channels_dae=width).eval().to(memory_format=args.memory_format)
    x, t, z = draw(batch).noise_t, torch.randint(0, T, (batch,)), torch.randn(batch, NZ)

    @torch.no_grad()
    def run():
        generator(x, t, z)

    return run


def sample(args, width, batch):
    generator = Generator(num_channels_dae=width).eval().to(memory_format=args.memory_format)
    s = diffusion.schedule(T)

    def run():
        x_t = draw(batch).noise_t
        diffusion.sample(s, generator, x_t, lambda _: torch.randn(batch, NZ), lambda _: draw(batch).noise_post)

    return run


def train(args, width, ngf, batch, r1):
    """A whole iteration: the discriminator's step and update, the generator's step, update and moving average."""
    g = Generator(num_channels_dae=width).to(memory_format=args.memory_format)
    d = Discriminator(ngf=ngf).to(memory_format=args.memory_format)
    opt_g = torch.optim.Adam(g.parameters(), CIFAR["lr_g"], CIFAR["betas"], fused=True)
    opt_d = torch.optim.Adam(d.parameters(), CIFAR["lr_d"], CIFAR["betas"], fused=True)
    ema = diffusion.Ema(g.parameters(), CIFAR["ema"])
    s = diffusion.schedule(T)
    x0 = torch.rand(batch, 3, 32, 32).mul(2).sub(1).contiguous(memory_format=torch.channels_last)
    r1_gamma = CIFAR["r1_gamma"] if r1 else None

    def run():
        diffusion.discriminator_step(s, g, d, opt_d, x0, draw(batch), r1_gamma, args.detach)
        diffusion.generator_step(s, g, d, opt_g, ema, x0, draw(batch))

    return run


CASES = {
    "forward_w128_b16": lambda args: forward(args, 128, 16),
    "forward_w128_b1": lambda args: forward(args, 128, 1),
    "sample4_w128_b16": lambda args: sample(args, 128, 16),
    "train_w128_b16": lambda args: train(args, 128, 64, 16, r1=False),
    "train_r1_w128_b16": lambda args: train(args, 128, 64, 16, r1=True),
    "train_w32_b64": lambda args: train(args, 32, 32, 64, r1=False),
    "train_r1_w32_b64": lambda args: train(args, 32, 32, 64, r1=True),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", required=True, choices=CASES)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--detach", action="store_true", help="spare the generator the discriminator's gradient")
    parser.add_argument("--nchw", dest="memory_format", action="store_const", const=torch.contiguous_format,
                        default=torch.channels_last, help="weights in PyTorch's default layout, not channels_last")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)

    idle = peak_mib()
    run = CASES[args.case](args)
    run()  # warm-up: oneDNN compiles its kernels, the allocator and the optimizers grow
    seconds = []
    for _ in range(args.repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"case": args.case, "seconds": seconds, "peak_mib": round(peak_mib(), 1),
                      "idle_mib": round(idle, 1), "torch": torch.__version__}))


if __name__ == "__main__":
    main()
