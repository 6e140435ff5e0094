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

# The published CIFAR-10 setting, and the preset `digits` where it differs; the networks' defaults are the former's.
CIFAR = SimpleNamespace(channels=3, nz=100, num_timesteps=4, lr_g=1.6e-4, lr_d=1.25e-4, betas=(0.5, 0.9), ema=0.9999,
                        r1_gamma=0.02, generator={}, discriminator={})
DIGITS = SimpleNamespace(**vars(CIFAR) | dict(
    channels=1, nz=32, num_timesteps=2, lr_g=2e-4, lr_d=5e-4, ema=0.99, r1_gamma=0.05,
    generator=dict(num_channels=1, ch_mult=(1, 2, 2), num_res_blocks=1, attn_resolutions=(), nz=32, z_emb_dim=64, n_mlp=2),
    discriminator=dict(num_channels=1, t_emb_dim=64)))


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def draw(setting, batch):
    """What one half of an iteration draws: indices, two noises of the pair, the latent, the posterior's noise."""
    def noise():
        return torch.randn(batch, setting.channels, 32, 32).contiguous(memory_format=torch.channels_last)

    return SimpleNamespace(t=torch.randint(0, setting.num_timesteps, (batch,)), noise_t=noise(), noise_t1=noise(),
                           z=torch.randn(batch, setting.nz), noise_post=noise())


def forward(args, width, batch):
    generator = Generator(num_channels_dae=width).eval().to(memory_format=args.memory_format)
    inputs = draw(CIFAR, batch)

    @torch.no_grad()
    def run():
        generator(inputs.noise_t, inputs.t, inputs.z)

    return run


def sample(args, width, batch):
    generator = Generator(num_channels_dae=width).eval().to(memory_format=args.memory_format)
    s = diffusion.schedule(CIFAR.num_timesteps)

    def run():
        x_t = draw(CIFAR, batch).noise_t
        diffusion.sample(s, generator, x_t, lambda _: torch.randn(batch, CIFAR.nz),
                         lambda _: draw(CIFAR, batch).noise_post)

    return run


def train(args, setting, width, ngf, batch, r1):
    """A whole iteration: the discriminator's step and update, the generator's step, update and moving average."""
    g = Generator(num_channels_dae=width, **setting.generator).to(memory_format=args.memory_format)
    d = Discriminator(ngf=ngf, **setting.discriminator).to(memory_format=args.memory_format)
    opt_g = torch.optim.Adam(g.parameters(), setting.lr_g, setting.betas, fused=True)
    opt_d = torch.optim.Adam(d.parameters(), setting.lr_d, setting.betas, fused=True)
    ema = diffusion.Ema(g.parameters(), setting.ema)
    s = diffusion.schedule(setting.num_timesteps)
    x0 = torch.rand(batch, setting.channels, 32, 32).mul(2).sub(1).contiguous(memory_format=torch.channels_last)
    r1_gamma = setting.r1_gamma if r1 else None

    def run():
        diffusion.discriminator_step(s, g, d, opt_d, x0, draw(setting, batch), r1_gamma, args.detach)
        diffusion.generator_step(s, g, d, opt_g, ema, x0, draw(setting, batch))

    return run


CASES = {
    "forward_w128_b16": lambda args: forward(args, 128, 16),
    "forward_w128_b1": lambda args: forward(args, 128, 1),
    "sample4_w128_b16": lambda args: sample(args, 128, 16),
    "train_w128_b16": lambda args: train(args, CIFAR, 128, 64, 16, r1=False),
    "train_r1_w128_b16": lambda args: train(args, CIFAR, 128, 64, 16, r1=True),
    "train_w32_b64": lambda args: train(args, CIFAR, 32, 32, 64, r1=False),
    "train_r1_w32_b64": lambda args: train(args, CIFAR, 32, 32, 64, r1=True),
    "train_digits": lambda args: train(args, DIGITS, 16, 12, 16, r1=False),
    "train_r1_digits": lambda args: train(args, DIGITS, 16, 12, 16, r1=True),
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
