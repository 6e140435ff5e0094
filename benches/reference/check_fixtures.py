"""Is the reference the same network as the golden fixtures'? Usage: check_fixtures.py [DIRECTORY=tests/fixtures]

Prints the largest relative 2-norm error of each group of tensors; exits 1 if one exceeds 1e-4 (outputs) or
1e-3 (gradients and updated parameters).
"""

import json
import math
import pathlib
import sys
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from safetensors import safe_open

import diffusion
from model import Discriminator, Generator

OUTPUT, GRADIENT = 1e-4, 1e-3
# Some gradients are zero in exact arithmetic (the bias of attention's keys: softmax ignores a shift; in R1, the last
# bias before the minibatch deviation) and only rounding in the fixture. A tensor's norm is taken to be at least this
# share of the norm of all its group's gradients together: with GRADIENT, an allowance of 1e-7 of that.
FLOOR = 1e-4


class Fixture:
    """The tensors of one file, and the errors found so far by group."""

    def __init__(self, path):
        with safe_open(path, "pt") as file:
            self.config = json.loads(file.metadata()["config"])
            self.tensors = {key: file.get_tensor(key) for key in file.keys()}
        self.name, self.errors = path.stem, {}

    def __getitem__(self, key):
        return self.tensors[key]

    def under(self, prefix):
        return {key[len(prefix):]: value for key, value in self.tensors.items() if key.startswith(prefix)}

    def compare(self, group, tolerance, got, want, floor=0.0):
        scale = max(float(want.norm()), floor)
        difference = float((got.reshape(want.shape) - want).norm())
        error = difference / scale if scale > 0 else difference
        worst, _, count = self.errors.get(group, (0.0, tolerance, 0))
        self.errors[group] = (max(worst, error), tolerance, count + 1)

    def compare_gradients(self, group, module, prefix):
        """A parameter without an entry must have no gradient; every entry must have its parameter."""
        wanted = self.under(prefix)
        floor = FLOOR * math.sqrt(sum(float(gradient.norm()) ** 2 for gradient in wanted.values()))
        for name, parameter in module.named_parameters():
            zeros = torch.zeros_like(parameter, requires_grad=False)
            got = zeros if parameter.grad is None else parameter.grad
            self.compare(group, GRADIENT, got, wanted.pop(name, zeros), floor)
        assert not wanted, f"{self.name}: no parameter for {sorted(wanted)}"

    def compare_parameters(self, group, named, prefix):
        wanted = self.under(prefix)
        for name, value in named:
            self.compare(group, GRADIENT, value.detach(), wanted.pop(name))
        assert not wanted, f"{self.name}: no parameter for {sorted(wanted)}"

    def report(self):
        passed = True
        for group, (error, tolerance, count) in self.errors.items():
            ok = error <= tolerance  # false for NaN
            passed &= ok
            print(f"{'ok  ' if ok else 'FAIL'} {self.name:22} {group:20} {error:.2e} <= {tolerance:.0e}  ({count} tensors)")
        return passed


def channels_last(module):
    return module.to(memory_format=torch.channels_last)


def build_generator(config, parameters):
    expected = dict(resblock_type="biggan", fir=True, progressive="none", progressive_input="residual",
                    progressive_combine="sum", embedding_type="positional", conditional=True, skip_rescale=True,
                    centered=True, not_use_tanh=False, dropout=0.0, fir_kernel=[1, 3, 3, 1])
    assert all(config[key] == value for key, value in expected.items()), "an option the reference does not have"
    names = ("image_size", "num_channels", "num_channels_dae", "ch_mult", "num_res_blocks", "attn_resolutions", "nz",
             "z_emb_dim", "n_mlp")
    generator = Generator(**{name: config[name] for name in names})
    generator.load_state_dict(parameters)
    return channels_last(generator)


def build_discriminator(config, num_channels, parameters):
    assert config["size"] == "small"
    discriminator = Discriminator(num_channels, config["ngf"], config["t_emb_dim"])
    discriminator.load_state_dict(parameters)
    return channels_last(discriminator)


def check_generator(f):
    g = build_generator(f.config, f.under("param."))
    x, z = f["x"].requires_grad_(), f["z"].requires_grad_()
    out = g(x, f["t"], z)
    f.compare("out", OUTPUT, out.detach(), f["out"])
    (out * f["grad_out"]).sum().backward()
    f.compare("grad_x", GRADIENT, x.grad, f["grad_x"])
    f.compare("grad_z", GRADIENT, z.grad, f["grad_z"])
    f.compare_gradients("grad", g, "grad.")


def check_discriminator(f):
    d = build_discriminator(f.config, f.config["num_channels"], f.under("param."))
    x = f["x"].requires_grad_()
    out = d(x, f["t"], f["x_t"])
    f.compare("out", OUTPUT, out.detach(), f["out"])
    F.softplus(-out).mean().backward(retain_graph=True)
    f.compare("grad_x", GRADIENT, x.grad, f["grad_x"])
    f.compare_gradients("grad", d, "grad.")
    d.zero_grad()
    (slope,) = torch.autograd.grad(out.sum(), x, create_graph=True)
    r1 = slope.square().sum(dim=(1, 2, 3)).mean()
    r1.backward()
    f.compare("r1", OUTPUT, r1.detach(), f["r1"])
    f.compare_gradients("r1_grad", d, "r1_grad.")


def check_sample(f):
    g = build_generator(f.config["generator"], f.under("param."))
    s = diffusion.schedule(f.config["num_timesteps"], f.config["beta_min"], f.config["beta_max"])

    def each_step(i, x0, x):
        f.compare("x0", OUTPUT, x0, f[f"x0.{i}"])
        f.compare("x", OUTPUT, x, f[f"x.{i}"])

    diffusion.sample(s, g, f["x_T"], lambda i: f[f"z.{i}"], lambda i: f[f"noise.{i}"], each_step)


def check_train_step(f, detach):
    c = f.config
    g = build_generator(c["generator"], f.under("g.param."))
    d = build_discriminator(c["discriminator"], c["generator"]["num_channels"], f.under("d.param."))
    s = diffusion.schedule(c["num_timesteps"], c["beta_min"], c["beta_max"])
    betas = (c["beta1"], c["beta2"])
    opt_g = torch.optim.Adam(g.parameters(), c["lr_g"], betas, fused=True)
    opt_d = torch.optim.Adam(d.parameters(), c["lr_d"], betas, fused=True)
    ema = diffusion.Ema(g.parameters(), c["ema_decay"])
    for k in range(c["steps"]):
        losses = diffusion.discriminator_step(
            s, g, d, opt_d, f[f"step{k}.real"], SimpleNamespace(**f.under(f"step{k}.d.")),
            c["r1_gamma"] if k % c["lazy_reg"] == 0 else None, detach,
            lambda: f.compare_gradients("d.grad", d, f"step{k}.d.grad."))
        loss_g = diffusion.generator_step(
            s, g, d, opt_g, ema, f[f"step{k}.real"], SimpleNamespace(**f.under(f"step{k}.g.")),
            lambda: f.compare_gradients("g.grad", g, f"step{k}.g.grad."))
        for name, loss in zip(("d_real", "d_fake", "r1", "g"), (*losses, loss_g)):
            f.compare("losses", OUTPUT, loss, f[f"step{k}.loss_{name}"])
    f.compare_parameters("after.d.param", d.named_parameters(), "after.d.param.")
    f.compare_parameters("after.g.param", g.named_parameters(), "after.g.param.")
    f.compare_parameters("after.g.ema", zip((name for name, _ in g.named_parameters()), ema.average), "after.g.ema.")


def main():
    directory = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "tests/fixtures")
    checks = [("generator_default", check_generator), ("discriminator_small", check_discriminator),
              ("sample_T4", check_sample), ("train_step_small", lambda f: check_train_step(f, detach=False)),
              ("train_step_small", lambda f: check_train_step(f, detach=True))]
    passed = True
    for name, check in checks:
        fixture = Fixture(directory / f"{name}.safetensors")
        check(fixture)
        passed &= fixture.report()
    counts = [sum(p.numel() for p in net.parameters()) for net in (Generator(), Discriminator())]
    print("parameters of the published networks:", counts)
    passed &= counts == [48_432_515, 12_741_633]
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
