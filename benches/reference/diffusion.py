"""Schedule, forward pair, posterior step, sampler and one training iteration, in PyTorch."""

from types import SimpleNamespace

import torch
import torch.nn.functional as F


def schedule(num_timesteps, beta_min=0.1, beta_max=20.0):
    """The variance-preserving tables: float64 up to beta, float32 after, index 0 = data."""
    time = torch.linspace(1e-3, 1.0, num_timesteps + 1, dtype=torch.float64)
    alpha_bar = torch.exp(-0.5 * time**2 * (beta_max - beta_min) - time * beta_min)
    betas = torch.cat((torch.tensor([1e-8], dtype=torch.float64), 1.0 - alpha_bar[1:] / alpha_bar[:-1])).float()
    a_s, sigmas = (1.0 - betas).sqrt(), betas.sqrt()
    a_s_cum = a_s.cumprod(0)
    # The posterior q(x_{t} | x_{t+1}, x_0) starts at the first real step, so it leaves out index 0.
    beta = betas[1:]
    cumulative = (1.0 - beta).cumprod(0)
    previous = torch.cat((torch.ones(1), cumulative[:-1]))
    variance = beta * (1.0 - previous) / (1.0 - cumulative)
    return SimpleNamespace(
        num_timesteps=num_timesteps, a_s=a_s, sigmas=sigmas, a_s_cum=a_s_cum, sigmas_cum=(1.0 - a_s_cum**2).sqrt(),
        coef1=beta * previous.sqrt() / (1.0 - cumulative),
        coef2=(1.0 - previous) * (1.0 - beta).sqrt() / (1.0 - cumulative),
        deviation=variance.clamp(min=1e-20).sqrt(),
    )


def at(table, t):
    return table[t][:, None, None, None]


def forward_pair(s, x0, t, noise_t, noise_t1):
    """(x_t, x_{t+1}): noise to t, then one step further."""
    x_t = at(s.a_s_cum, t) * x0 + at(s.sigmas_cum, t) * noise_t
    return x_t, at(s.a_s, t + 1) * x_t + at(s.sigmas, t + 1) * noise_t1


def posterior(s, x0, x_t1, t, noise):
    """A sample of q(x_t | x_{t+1}, x_0); exactly its mean at t = 0."""
    mean = at(s.coef1, t) * x0 + at(s.coef2, t) * x_t1
    return mean + (t > 0).float()[:, None, None, None] * at(s.deviation, t) * noise


@torch.no_grad()
def sample(s, generator, x, draw_z, draw_noise, each_step=lambda i, x0, x: None):
    """From x_T ~ N(0, I) down to a picture, T evaluations of the generator."""
    for i in reversed(range(s.num_timesteps)):
        t = torch.full((x.shape[0],), i)
        x0 = generator(x, t, draw_z(i))
        x = posterior(s, x0, x, t, draw_noise(i))
        each_step(i, x0, x)
    return x


class Ema:
    """An exponential moving average of parameters; it starts as their copy after the first update."""

    def __init__(self, parameters, decay):
        self.parameters, self.decay, self.average = list(parameters), decay, None

    @torch.no_grad()
    def update(self):
        if self.average is None:
            self.average = [p.detach().clone() for p in self.parameters]
        else:
            torch._foreach_lerp_(self.average, self.parameters, 1.0 - self.decay)


def discriminator_step(s, g, d, opt_d, x0, draws, r1_gamma, detach, on_gradients=lambda: None):
    """softplus(-D(real)) + softplus(D(fake)), and gamma/2 |dD/dx|^2 on the real pair unless r1_gamma is None.

    The published loop sends the gradient of the fake half through the generator too, only to throw it away;
    so does this one, unless `detach`.
    """
    opt_d.zero_grad(set_to_none=True)
    x_t, x_t1 = forward_pair(s, x0, draws.t, draws.noise_t, draws.noise_t1)
    x_t.requires_grad_(r1_gamma is not None)
    real = d(x_t, draws.t, x_t1)
    loss_real = F.softplus(-real).mean()
    loss_real.backward(retain_graph=r1_gamma is not None)
    loss_r1 = torch.zeros(())
    if r1_gamma is not None:
        (slope,) = torch.autograd.grad(real.sum(), x_t, create_graph=True)
        loss_r1 = 0.5 * r1_gamma * slope.square().sum(dim=(1, 2, 3)).mean()
        loss_r1.backward()
        loss_r1 = loss_r1.detach()
        del slope
        x_t.grad = None
    del real  # frees the graph of the real half before the fake half is built

    with torch.set_grad_enabled(not detach):
        fake = posterior(s, g(x_t1, draws.t, draws.z), x_t1, draws.t, draws.noise_post)
    loss_fake = F.softplus(d(fake, draws.t, x_t1)).mean()
    loss_fake.backward()
    on_gradients()
    opt_d.step()
    return loss_real.detach(), loss_fake.detach(), loss_r1


def generator_step(s, g, d, opt_g, ema, x0, draws, on_gradients=lambda: None):
    """softplus(-D(fake)) for the generator, its optimizer and its moving average."""
    d.requires_grad_(False)
    opt_g.zero_grad(set_to_none=True)
    _, x_t1 = forward_pair(s, x0, draws.t, draws.noise_t, draws.noise_t1)
    fake = posterior(s, g(x_t1, draws.t, draws.z), x_t1, draws.t, draws.noise_post)
    loss = F.softplus(-d(fake, draws.t, x_t1)).mean()
    loss.backward()
    on_gradients()
    opt_g.step()
    ema.update()
    d.requires_grad_(True)
    return loss.detach()
