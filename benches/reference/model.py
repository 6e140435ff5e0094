"""The DDGAN networks in plain eager PyTorch: a yardstick for speed and a second opinion on the numbers.

Written from the method's mathematics with the published parameter names, for the published 32x32 configuration only:
NCSN++ with BigGAN blocks, FIR resampling, `progressive_input=residual`, positional embedding and z-conditioned group
norm; and the small discriminator. It is meant to be as fast as eager float32 PyTorch goes on a CPU (see README.md).

Shapes are PyTorch's: images [N, C, H, W], usually in channels_last memory.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

FIR = torch.outer(torch.tensor([1.0, 3.0, 3.0, 1.0]), torch.tensor([1.0, 3.0, 3.0, 1.0])) / 64.0


def fir_down(x):
    """Low-pass with [1,3,3,1] x [1,3,3,1] / 64 and keep every second pixel: [N,C,H,W] -> [N,C,H/2,W/2]."""
    channels = x.shape[1]
    return F.conv2d(x, FIR.expand(channels, 1, 4, 4), stride=2, padding=1, groups=channels)


def fir_up(x):
    """Insert zeros between pixels and low-pass with gain 4: [N,C,H,W] -> [N,C,2H,2W]."""
    channels = x.shape[1]
    return F.conv_transpose2d(x, 4.0 * FIR.expand(channels, 1, 4, 4), stride=2, padding=1, groups=channels)


def timestep_embedding(t, dim):
    """Sinusoids of the time index: [N] -> [N, dim], all sines first, frequencies from 1 down to 1/10000."""
    half = dim // 2
    frequencies = torch.exp(torch.arange(half, dtype=torch.float32, device=t.device) * (-math.log(10000.0) / (half - 1)))
    angles = t.float()[:, None] * frequencies
    return torch.cat((angles.sin(), angles.cos()), dim=1)


def groups_of(channels):
    return min(channels // 4, 32)


class AdaptiveGroupNorm(nn.Module):
    """gamma(z) * GN(x) + beta(z)."""

    def __init__(self, channels, z_dim):
        super().__init__()
        self.groups = groups_of(channels)
        self.style = nn.Linear(z_dim, 2 * channels)

    def forward(self, x, z):
        gamma, beta = self.style(z)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(beta, gamma, F.group_norm(x, self.groups, eps=1e-6))


class ResBlock(nn.Module):
    """The BigGAN residual block; `resample` (or None) acts on both branches before the first convolution."""

    def __init__(self, c_in, c_out, t_dim, z_dim, resample=None):
        super().__init__()
        self.resample = resample
        self.GroupNorm_0 = AdaptiveGroupNorm(c_in, z_dim)
        self.Conv_0 = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.Dense_0 = nn.Linear(t_dim, c_out)
        self.GroupNorm_1 = AdaptiveGroupNorm(c_out, z_dim)
        self.Conv_1 = nn.Conv2d(c_out, c_out, 3, padding=1)
        if c_in != c_out or resample:
            self.Conv_2 = nn.Conv2d(c_in, c_out, 1)

    def forward(self, x, t_act, z):
        h = F.silu(self.GroupNorm_0(x, z))
        if self.resample:
            h, x = self.resample(h), self.resample(x)
        h = self.Conv_0(h) + self.Dense_0(t_act)[:, :, None, None]
        h = self.Conv_1(F.silu(self.GroupNorm_1(h, z)))
        if hasattr(self, "Conv_2"):
            x = self.Conv_2(x)
        return (x + h) * math.sqrt(0.5)


class NIN(nn.Module):
    """A linear map of the channels of tokens [N, HW, C]; W is [in, out]."""

    def __init__(self, channels):
        super().__init__()
        self.W = nn.Parameter(torch.randn(channels, channels) / math.sqrt(channels))
        self.b = nn.Parameter(torch.zeros(channels))

    def forward(self, tokens):
        return F.linear(tokens, self.W.t(), self.b)


class Attention(nn.Module):
    """Single-head self-attention over all pixels, with a residual."""

    def __init__(self, channels):
        super().__init__()
        self.GroupNorm_0 = nn.GroupNorm(groups_of(channels), channels, eps=1e-6)
        for i in range(4):
            self.add_module(f"NIN_{i}", NIN(channels))

    def forward(self, x):
        n, c, height, width = x.shape
        tokens = self.GroupNorm_0(x).flatten(2).transpose(1, 2)
        q, k, v = self.NIN_0(tokens), self.NIN_1(tokens), self.NIN_2(tokens)
        weights = torch.bmm(q * c**-0.5, k.transpose(1, 2)).softmax(dim=-1)
        h = self.NIN_3(torch.bmm(weights, v)).transpose(1, 2).reshape(n, c, height, width)
        return (x + h) * math.sqrt(0.5)


class PyramidDown(nn.Module):
    """The input pyramid's step: FIR (pad 2), then a 3x3 convolution of stride 2 without padding."""

    def __init__(self, c_in, c_out):
        super().__init__()
        self.Conv2d_0 = nn.Conv2d(c_in, c_out, 3, stride=2)

    def forward(self, x):
        channels = x.shape[1]
        return self.Conv2d_0(F.conv2d(x, FIR.expand(channels, 1, 4, 4), padding=2, groups=channels))


class PixelNorm(nn.Module):
    def forward(self, z):
        return z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + 1e-8)


class Generator(nn.Module):
    """NCSN++: G(x [N,C,H,W], t [N], z [N,nz]) -> the predicted clean image, in [-1, 1]."""

    def __init__(self, image_size=32, num_channels=3, num_channels_dae=128, ch_mult=(1, 2, 2, 2), num_res_blocks=2,
                 attn_resolutions=(16,), nz=100, z_emb_dim=256, n_mlp=4):
        super().__init__()
        width, t_dim = num_channels_dae, 4 * num_channels_dae
        self.width = width
        mapping = [PixelNorm(), nn.Linear(nz, z_emb_dim), nn.SiLU()]
        for _ in range(n_mlp):
            mapping += [nn.Linear(z_emb_dim, z_emb_dim), nn.SiLU()]
        self.z_transform = nn.Sequential(*mapping)

        def block(c_in, c_out, resample=None):
            return ResBlock(c_in, c_out, t_dim, z_emb_dim, resample)

        # `modules` in the published order, which numbers the parameters; `plan` says what forward does with each.
        modules = [nn.Linear(width, t_dim), nn.Linear(t_dim, t_dim), nn.Conv2d(num_channels, width, 3, padding=1)]
        plan = []

        def add(what, module):
            plan.append((what, len(modules)))
            modules.append(module)

        channels, skips, pyramid = width, [width], num_channels
        resolutions = [image_size >> level for level in range(len(ch_mult))]
        for level, (mult, resolution) in enumerate(zip(ch_mult, resolutions)):
            for _ in range(num_res_blocks):
                add("block", block(channels, mult * width))
                channels = mult * width
                if resolution in attn_resolutions:
                    add("attention", Attention(channels))
                plan.append(("push", None))
                skips.append(channels)
            if level + 1 < len(ch_mult):
                add("block", block(channels, channels, fir_down))
                add("pyramid", PyramidDown(pyramid, channels))
                pyramid = channels
                plan.append(("push", None))
                skips.append(channels)
        add("block", block(channels, channels))
        add("attention", Attention(channels))
        add("block", block(channels, channels))
        for level, (mult, resolution) in reversed(list(enumerate(zip(ch_mult, resolutions)))):
            for _ in range(num_res_blocks + 1):
                plan.append(("pop", None))
                add("block", block(channels + skips.pop(), mult * width))
                channels = mult * width
            if resolution in attn_resolutions:
                add("attention", Attention(channels))
            if level > 0:
                add("block", block(channels, channels, fir_up))
        modules += [nn.GroupNorm(groups_of(channels), channels, eps=1e-6), nn.Conv2d(channels, num_channels, 3, padding=1)]
        self.plan = plan
        self.all_modules = nn.ModuleList(modules)

    def forward(self, x, t, z):
        m = self.all_modules
        z = self.z_transform(z)
        t_act = F.silu(m[1](F.silu(m[0](timestep_embedding(t, self.width).to(z.dtype)))))
        pyramid, h = x, m[2](x)
        skips = [h]
        for what, i in self.plan:
            if what == "block":
                h = m[i](h, t_act, z)
            elif what == "attention":
                h = m[i](h)
            elif what == "pyramid":
                h = pyramid = (m[i](pyramid) + h) * math.sqrt(0.5)
            elif what == "push":
                skips.append(h)
            else:
                h = torch.cat((h, skips.pop()), dim=1)
        return torch.tanh(m[-1](F.silu(m[-2](h))))


class TimeMlp(nn.Module):
    """Sinusoids -> linear -> LeakyReLU -> linear."""

    def __init__(self, dim):
        super().__init__()
        self.dim = dim
        self.main = nn.Sequential(nn.Linear(dim, dim), nn.LeakyReLU(0.2), nn.Linear(dim, dim))

    def forward(self, t):
        return self.main(timestep_embedding(t, self.dim))


class DownBlock(nn.Module):
    """The discriminator's residual block, with FIR downsampling between its convolutions if `down`."""

    def __init__(self, c_in, c_out, t_dim, down):
        super().__init__()
        self.down = down
        self.conv1 = nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1))
        self.conv2 = nn.Sequential(nn.Conv2d(c_out, c_out, 3, padding=1))
        self.dense_t1 = nn.Linear(t_dim, c_out)
        self.skip = nn.Sequential(nn.Conv2d(c_in, c_out, 1, bias=False))

    def forward(self, x, t_act):
        h = self.conv1(F.leaky_relu(x, 0.2)) + self.dense_t1(t_act)[:, :, None, None]
        h = F.leaky_relu(h, 0.2)
        if self.down:
            h, x = fir_down(h), fir_down(x)
        return (self.skip(x) + self.conv2(h)) * math.sqrt(0.5)


def minibatch_stddev(x):
    """One more channel: the mean standard deviation over groups of (at most 4) strided images."""
    n, c, height, width = x.shape
    group = max(g for g in range(1, min(n, 4) + 1) if n % g == 0)
    deviation = (x.view(group, n // group, c, height, width).var(dim=0, unbiased=False) + 1e-8).sqrt()
    mean = deviation.mean(dim=(1, 2, 3))  # one number for images i, i + n/group, ...
    return torch.cat((x, mean.repeat(group)[:, None, None, None].expand(n, 1, height, width)), dim=1)


class Discriminator(nn.Module):
    """The small (32x32) time-dependent discriminator: D(x_{t-1}, t, x_t) -> logits [N, 1]."""

    def __init__(self, num_channels=3, ngf=64, t_emb_dim=256):
        super().__init__()
        self.t_embed = TimeMlp(t_emb_dim)
        self.start_conv = nn.Conv2d(2 * num_channels, 2 * ngf, 1)
        self.conv1 = DownBlock(2 * ngf, 2 * ngf, t_emb_dim, down=False)
        self.conv2 = DownBlock(2 * ngf, 4 * ngf, t_emb_dim, down=True)
        self.conv3 = DownBlock(4 * ngf, 8 * ngf, t_emb_dim, down=True)
        self.conv4 = DownBlock(8 * ngf, 8 * ngf, t_emb_dim, down=True)
        self.final_conv = nn.Conv2d(8 * ngf + 1, 8 * ngf, 3, padding=1)
        self.end_linear = nn.Linear(8 * ngf, 1)

    def forward(self, x, t, x_t):
        t_act = F.leaky_relu(self.t_embed(t), 0.2)
        h = self.start_conv(torch.cat((x, x_t), dim=1))
        for block in (self.conv1, self.conv2, self.conv3, self.conv4):
            h = block(h, t_act)
        h = F.leaky_relu(self.final_conv(minibatch_stddev(h)), 0.2)
        return self.end_linear(h.sum(dim=(2, 3)))
