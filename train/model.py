"""Wisp's network: a causal, DCCRN-style mask estimator with a GhostGRU bottleneck.

Complex convolutions follow DCCRN (Hu et al., Interspeech 2020, arXiv 2008.00264, section 2.2), the mask bound is
its DCCRN-E (section 2.4), the dual-path bottleneck follows DPCRN (Le et al., Interspeech 2021, arXiv 2107.05429),
the ghost units GhostRNN (Zhou et al., Interspeech 2023, arXiv 2411.14489), the filter over several frames
DeepFilterNet (Schroeter et al., ICASSP 2022, arXiv 2110.05588, eq. 4), band gains for the envelope with a filter under
them DeepFilterNet2 (Schroeter et al. 2022, arXiv 2205.05474), the frame predicted a hop late overlapped-frame prediction
(Wang et al. 2022, arXiv 2204.07566).

Shapes: B items, T frames, F frequency positions, C real channels. A complex tensor of C/2 channels is kept as C real
ones, real parts first. Layers have the same names in Rust (`src/nn`).
"""

import functools
import math
from dataclasses import asdict, dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsp import HIGH_BANDS, LOW_BANDS, LOW_BINS, SILENT_BAND, band_interpolation, band_means, erb_edges
from fused import Mask, fast, fused

LOWEST_BINS = 24  # bins 1..=24, 50 Hz .. 1.2 kHz
HEARD = 8  # numbers exchanged between the full-band memory and a position


@dataclass
class Sizes:
    """Everything that determines the shapes of the weights."""

    channels: tuple = (16, 32, 48)  # real channels after each encoder layer
    time_kernel: int = 2  # encoder only; the decoder uses one frame
    mix_hidden: int = 16  # hidden units per direction of the mix across frequency
    hidden: int = 64  # units of the recurrent layer over time
    ratio: int = 2  # hidden / intrinsic units; 1 is a plain GRU
    blocks: int = 2  # dual-path blocks
    high_positions: int = 4  # frequency positions that carry the high band
    taps: int = 3  # frames in the complex filter of the low band
    low_hidden: int = 0  # units of the memory for the lowest bins; 0: none
    full_hidden: int = 0  # units of the memory for the whole spectrum, which sets its envelope; 0: none
    heads: int = 1  # filters per frame: 2 also filters the previous frame, once this one has arrived
    look_ahead: int = 0  # frames of look-ahead past the filtered one; each adds 10 ms of latency
    taps_ahead: int = 0  # of the filter's taps, those for frames after the filtered one

    @property
    def low_positions(self) -> int:
        return LOW_BINS >> len(self.channels)

    @property
    def positions(self) -> int:
        return self.low_positions + self.high_positions

    @property
    def lowest_positions(self) -> int:
        return LOWEST_BINS >> len(self.channels)

    @property
    def low_inputs(self) -> int:
        return self.lowest_positions * self.channels[-1] + 2 * LOWEST_BINS

    @property
    def full_inputs(self) -> int:
        return self.positions * HEARD + (1 + self.look_ahead) * (LOW_BANDS + HIGH_BANDS)

    def frames_ahead(self, layer: int) -> int:
        """How many frames ahead an encoder layer's kernel reaches: the first layers take the larger shares."""
        layers = len(self.channels)
        return self.look_ahead // layers + (layer < self.look_ahead % layers)

    @property
    def coefficients(self) -> int:
        """Complex coefficients per bin."""
        return self.heads * self.taps

    def json(self) -> dict:
        return asdict(self) | {"channels": list(self.channels)}

    @classmethod
    def read(cls, fields: dict) -> "Sizes":
        """The inverse of `json`."""
        return cls(**fields | {"channels": tuple(fields["channels"])})


def complex_weight(conv: nn.Module) -> Tensor:
    """[[Wr, -Wi], [Wi, Wr]]: the real convolution that equals a complex one."""
    return torch.cat([torch.cat([conv.real, -conv.imag], 1), torch.cat([conv.imag, conv.real], 1)], 0)


class ComplexConv2d(nn.Module):
    """(B, C_in, T + ahead, F) -> (B, C_out, T, F/2); stride 2 in frequency. Output frame t sees frames t - time_kernel + 1 ..= t + ahead."""

    def __init__(self, c_in: int, c_out: int, time_kernel: int, ahead: int = 0):
        super().__init__()
        self.before = time_kernel - 1
        shape = (c_out // 2, c_in // 2, time_kernel + ahead, 3)
        scale = (c_in * (time_kernel + ahead) * 3) ** -0.5
        self.real = nn.Parameter(torch.randn(shape) * scale)
        self.imag = nn.Parameter(torch.randn(shape) * scale)
        self.norm = nn.BatchNorm1d(c_out)
        self.act = nn.PReLU(c_out)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (1, 0, self.before, 0))
        y = F.conv2d(x, complex_weight(self), stride=(1, 2)).permute(0, 2, 3, 1)
        return norm_act(y, self.norm, self.act).permute(0, 3, 1, 2)


class ComplexConvTranspose2d(nn.Module):
    """(B, C_in, T, F) -> (B, C_out, T, 2F); kernel 3, stride 2 in frequency, one frame in time.

    Output 2i is W1 x_i, output 2i+1 is W2 x_i + W0 x_{i+1}: written as a two-tap convolution to 2 C_out channels.
    """

    def __init__(self, c_in: int, c_out: int, last: bool = False):
        super().__init__()
        shape = (c_out // 2, c_in // 2, 3)
        scale = (c_in * 1.5) ** -0.5
        self.real = nn.Parameter(torch.randn(shape) * scale)
        self.imag = nn.Parameter(torch.randn(shape) * scale)
        self.last = last
        if last:
            self.bias = nn.Parameter(torch.zeros(c_out))
        else:
            self.norm = nn.BatchNorm1d(c_out)
            self.act = nn.PReLU(c_out)

    def forward(self, x: Tensor) -> Tensor:
        w = complex_weight(self)
        even = torch.stack([w[..., 1], torch.zeros_like(w[..., 1])], -1)
        odd = torch.stack([w[..., 2], w[..., 0]], -1)
        y = F.conv2d(F.pad(x, (0, 1)), torch.cat([even, odd])[:, :, None])
        b, _, t, f = y.shape
        y = y.permute(0, 2, 3, 1).reshape(b, t, 2 * f, -1)  # channels last in memory: a view
        y = y + self.bias if self.last else norm_act(y, self.norm, self.act)
        return y.permute(0, 3, 1, 2)


@functools.cache
def scan():
    """The Triton kernels of scan.py, or None without Triton (a GPU then runs several kernels per step)."""
    try:
        import scan as kernels
    except ImportError:
        return None
    return kernels


def _scan_forward(gates, u, cn, g, bg, s0, reverse):
    """gates (T, R, 3m), the input side -> s (T+1, R, H), rz (T, R, 2m), n and an (T, R, m)."""
    if reverse:
        return tuple(v.flip(0) for v in _scan_forward(gates.flip(0), u, cn, g, bg, s0, False))
    steps, rows, _ = gates.shape
    m, hidden = cn.shape[0], u.shape[1]
    s = gates.new_empty(steps + 1, rows, hidden)
    s[0] = s0
    rz, n = gates.new_empty(steps, rows, 2 * m), gates.new_empty(steps, rows, m)
    an = torch.empty_like(n)
    urz, un, gt = u[: 2 * m].t().contiguous(), u[2 * m :].t().contiguous(), g.t().contiguous()
    for t in range(steps):
        torch.addmm(gates[t, :, : 2 * m], s[t], urz, out=rz[t]).sigmoid_()
        torch.addmm(cn, s[t], un, out=an[t])
        torch.addcmul(gates[t, :, 2 * m :], rz[t, :, :m], an[t], out=n[t]).tanh_()
        torch.lerp(n[t], s[t, :, :m], rz[t, :, m:], out=s[t + 1, :, :m])
        if hidden > m:
            torch.addmm(bg, s[t + 1, :, :m], gt, out=s[t + 1, :, m:]).tanh_()
    return s, rz, n, an


def _scan_backward(grad, u, g, s, rz, n, an, reverse):
    """-> gradients at the gates' input side and recurrent side (T, R, 3m), at the ghosts (T, R, H-m), at s0."""
    if reverse:
        grad, s, rz, n, an = (v.flip(0) for v in (grad, s, rz, n, an))
        *steps, ds0 = _scan_backward(grad, u, g, s, rz, n, an, False)
        return *(v.flip(0) for v in steps), ds0
    steps, rows, m = n.shape
    hidden = u.shape[1]
    r, z = rz[..., :m], rz[..., m:]
    # Everything that does not depend on later steps, for all steps together.
    dn_dh = (1 - z) * (1 - n * n)
    dz_dh = (s[:-1, :, :m] - n) * z * (1 - z)
    dr_dn = an * r * (1 - r)
    ghost = 1 - s[1:, :, m:].square()
    dgx, da = grad.new_empty(steps, rows, 3 * m), grad.new_empty(steps, rows, 3 * m)
    dg = grad.new_empty(steps, rows, hidden - m)
    ds, carry = grad.new_zeros(rows, hidden), grad.new_zeros(rows, m)
    for t in range(steps - 1, -1, -1):
        ds = ds + grad[t]
        dh = ds[:, :m] + carry
        if hidden > m:
            torch.mul(ds[:, m:], ghost[t], out=dg[t])
            dh.addmm_(dg[t], g)
        dn = torch.mul(dh, dn_dh[t], out=dgx[t, :, 2 * m :])
        torch.mul(dn, dr_dn[t], out=dgx[t, :, :m])
        torch.mul(dh, dz_dh[t], out=dgx[t, :, m : 2 * m])
        da[t, :, : 2 * m] = dgx[t, :, : 2 * m]
        torch.mul(dn, r[t], out=da[t, :, 2 * m :])
        torch.mul(dh, z[t], out=carry)
        ds = da[t] @ u
    ds0 = ds.clone()
    ds0[:, :m] += carry
    return dgx, da, dg, ds0


class _GhostScan(torch.autograd.Function):
    """The recurrence of GhostGRU along dimension 0 of (T, rows, inputs), with one product per weight gradient at the end."""

    @staticmethod
    def forward(ctx, x, w, b, u, cn, g, bg, s0, reverse):
        gates = torch.addmm(b, x.flatten(0, 1), w.t()).view(*x.shape[:2], -1)
        s, rz, n, an = _scan_forward(gates, u, cn, g, bg, s0, reverse)
        before, after = (s[1:], s[:-1]) if reverse else (s[:-1], s[1:])
        ctx.save_for_backward(x, w, u, g, s, before, after, rz, n, an)
        ctx.reverse = reverse
        return after.clone()

    @staticmethod
    def backward(ctx, grad):
        x, w, u, g, s, before, after, rz, n, an = ctx.saved_tensors
        dgx, da, dg, ds0 = _scan_backward(grad, u, g, s, rz, n, an, ctx.reverse)
        dx, *weights = _weight_gradients(*(v.flatten(0, 1) for v in (dgx, da, dg, x, before, after)), w)
        return dx.view_as(x), *weights, ds0, None


def _weight_gradients(dgx, da, dg, x, before, after, w):
    m = dgx.shape[1] // 3
    return (
        dgx @ w,
        dgx.t() @ x,
        dgx.sum(0),
        da.t() @ before,
        da[:, 2 * m :].sum(0),
        dg.t() @ after[:, :m],
        dg.sum(0),
    )


class _FusedScan(torch.autograd.Function):
    """The same by fused.cpp, in place along time or frequency of x (B, T, F, C) without a permuted copy."""

    @staticmethod
    def forward(ctx, x, w, b, u, cn, g, bg, s0, along, reverse):
        bt, t, f, _ = x.shape
        # steps, outer, inner sequences; rows from one outer, inner sequence and step to the next
        walk = (t, bt, f, t * f, 1, f, reverse) if along == "time" else (f, bt * t, 1, f, 0, 1, reverse)
        rows = x.reshape(-1, x.shape[-1])
        saved = fused().forward(torch.addmm(b, rows, w.t()), u, cn, g, bg, s0, *walk)
        ctx.save_for_backward(rows, w, u, g, *saved)
        ctx.walk, ctx.shape = walk, x.shape
        return saved[0].view(bt, t, f, -1)

    @staticmethod
    def backward(ctx, grad):
        x, w, u, g, state, before, rz, n, an = ctx.saved_tensors
        grad = grad.reshape(-1, grad.shape[-1]).contiguous()
        dgx, da, dg, ds0 = fused().backward(grad, u, g, state, before, rz, n, an, *ctx.walk)
        dx, *weights = _weight_gradients(dgx, da, dg, x, before, state, w)
        return dx.view(ctx.shape), *weights, ds0, None, None


class _NormAct(torch.autograd.Function):
    """Batch norm over the rows of (N, C), PReLU and the residual, by fused.cpp; also returns mean and 1/deviation."""

    @staticmethod
    def forward(ctx, x, gamma, beta, slope, add, eps):
        y, mean, inv = fused().norm_forward(x, gamma, beta, slope, x.new_empty(0) if add is None else add, eps)
        ctx.save_for_backward(x, gamma, beta, slope, mean, inv)
        ctx.mark_non_differentiable(mean, inv)
        return y, mean, inv

    @staticmethod
    def backward(ctx, grad, *_):
        grad = grad.contiguous()
        parts = fused().norm_backward(grad, *ctx.saved_tensors)
        return *parts, grad if ctx.needs_input_grad[4] else None, None


def norm_act(x: Tensor, norm: nn.BatchNorm1d, act: nn.PReLU | None, add: Tensor | None = None) -> Tensor:
    """act(norm(x)) + add of x (..., C), channels last in memory; act None is the identity."""
    shape = x.shape
    x = x.reshape(-1, shape[-1])
    add = None if add is None else add.reshape(x.shape)
    if norm.training and fast(x.float() if x.dtype == torch.bfloat16 else x):
        slope = act.weight if act else torch.ones_like(norm.bias)
        add = None if add is None else add.float()
        y, mean, inv = _NormAct.apply(x.float(), norm.weight, norm.bias, slope, add, norm.eps)
        with torch.no_grad():
            variance = (inv.pow(-2) - norm.eps) * (len(x) / max(len(x) - 1, 1))
            norm.running_mean.lerp_(mean, norm.momentum)
            norm.running_var.lerp_(variance, norm.momentum)
            norm.num_batches_tracked += 1
    else:
        y = F.batch_norm(
            x, norm.running_mean, norm.running_var, norm.weight, norm.bias, norm.training, norm.momentum, norm.eps
        )
        y = act(y) if act else y
        y = y if add is None else y + add
    return y.view(shape)


class GhostGru(nn.Module):
    """GRU with m = hidden/ratio intrinsic units; the others are computed from them as tanh(G h + b), and the whole state feeds back.

        r, z = sigmoid(Wrz x + Urz s' + b)          s' is the previous state, all units
        n    = tanh(Wn x + bn + r * (Un s' + cn))
        h    = (1 - z) n + z h'                      h' is the intrinsic part of s'
        s    = [h ; tanh(G h + bg)]

    ratio 1 has no ghost units and is the plain GRU.
    """

    def __init__(self, inputs: int, hidden: int, ratio: int):
        super().__init__()
        assert hidden % ratio == 0
        m = hidden // ratio
        self.hidden, self.intrinsic = hidden, m

        def uniform(*shape):
            return nn.Parameter(torch.empty(shape).uniform_(-1, 1) * hidden**-0.5)

        self.w, self.b = uniform(3 * m, inputs), uniform(3 * m)
        self.u, self.cn = uniform(3 * m, hidden), uniform(m)
        self.g = nn.Parameter(torch.randn(hidden - m, m) * m**-0.5)
        self.bg = nn.Parameter(torch.zeros(hidden - m))

    def forward(self, x: Tensor, along: str, reverse: bool = False) -> Tensor:
        """(B, T, F, inputs) -> (B, T, F, hidden), along "time" or "frequency", from a zero state."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            b, t, f, c = x.shape
            rows = b * f if along == "time" else b * t
            weights = self.w, self.b, self.u, self.cn, self.g, self.bg, x.new_zeros(rows, self.hidden)
            if x.is_cuda and scan():
                return scan().Scan.apply(x, *weights[:-1], along, reverse)
            if fast(x):
                return _FusedScan.apply(x, *weights, along, reverse)
            order = (1, 0, 2, 3) if along == "time" else (2, 0, 1, 3)
            moved = x.permute(order)
            y = _GhostScan.apply(moved.reshape(len(moved), rows, c), *weights, reverse)
            back = (1, 0, 2, 3) if along == "time" else (1, 2, 0, 3)
            return y.view(*moved.shape[:3], self.hidden).permute(back)

    def reference(self, x: Tensor, s: Tensor) -> Tensor:
        """The equations above through autograd, (T, rows, inputs) -> (T, rows, hidden), to check the scans against."""
        m, out = self.intrinsic, []
        for t in range(x.shape[0]):
            gx, a = x[t] @ self.w.t() + self.b, s @ self.u.t()
            r, z = torch.sigmoid(gx[:, : 2 * m] + a[:, : 2 * m]).chunk(2, -1)
            n = torch.tanh(gx[:, 2 * m :] + r * (a[:, 2 * m :] + self.cn))
            h = (1 - z) * n + z * s[:, :m]
            s = torch.cat([h, torch.tanh(h @ self.g.t() + self.bg)], -1)
            out.append(s)
        return torch.stack(out)


class FrequencyMix(nn.Module):
    """A small GRU up and one down the frequency positions of each frame, projected and added. (B, T, F, C)."""

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.up = GhostGru(channels, hidden, 1)
        self.down = GhostGru(channels, hidden, 1)
        self.linear = nn.Linear(2 * hidden, channels, bias=False)
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat([self.up(x, "frequency"), self.down(x, "frequency", reverse=True)], -1)
        return norm_act(self.linear(y), self.norm, None, add=x)


class TimeMemory(nn.Module):
    """One GhostGRU over time, shared by all frequency positions, projected and added. (B, T, F, C)."""

    def __init__(self, channels: int, hidden: int, ratio: int):
        super().__init__()
        self.gru = GhostGru(channels, hidden, ratio)
        self.linear = nn.Linear(hidden, channels, bias=False)
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return norm_act(self.linear(self.gru(x, "time")), self.norm, None, add=x)


class LowMemory(nn.Module):
    """Correction to the lowest bins' filter, from a dedicated GhostGRU over all their positions.

    Most of the noise's energy is there, and the pitch's harmonics are two bins apart. y (B, T, F, C) and low (B, T, 160)
    complex -> (B, T, 24, 2 coefficients), to be added to the last decoder's output.
    """

    SCALE = 0.1  # acts like a tenth of the others' learning rate: at 1 it disturbed early training

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.positions = sizes.lowest_positions
        self.gru = GhostGru(sizes.low_inputs, sizes.low_hidden, sizes.ratio)
        self.linear = nn.Linear(sizes.low_hidden, LOWEST_BINS * 2 * sizes.coefficients, bias=False)
        nn.init.zeros_(self.linear.weight)

    def forward(self, y: Tensor, low: Tensor) -> Tensor:
        bins = low[..., :LOWEST_BINS]
        heard = torch.cat([y[:, :, : self.positions].flatten(2).float(), bins.real, bins.imag], 2)
        states = self.gru(heard.unsqueeze(2), "time").squeeze(2)
        return self.SCALE * self.linear(states).float().unflatten(2, (LOWEST_BINS, -1))


class FullBandMemory(nn.Module):
    """A GhostGRU over all positions and both bands' energies, which sets the gains of the spectrum's envelope and
    sends information to every position.

    y (B, T, F, C), low (B, T + look-ahead, 160) complex and compressed, bands (B, T + look-ahead, 24) -> y with that
    information added, and logits of gains (B, T, heads, 24 + 24), low bands first."""

    ENERGY_FLOOR = 1e-4  # added to a low band's mean |X|^0.6 before the logarithm

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.heads, c = sizes.heads, sizes.channels[-1]
        self.hear = nn.Linear(c, HEARD, bias=False)
        self.gru = GhostGru(sizes.full_inputs, sizes.full_hidden, sizes.ratio)
        self.gains = nn.Linear(sizes.full_hidden, sizes.heads * (LOW_BANDS + HIGH_BANDS))
        self.tell = nn.Linear(sizes.full_hidden, sizes.positions * HEARD, bias=False)
        self.spread = nn.Linear(HEARD, c, bias=False)
        self.norm = nn.BatchNorm1d(c)
        self.register_buffer("means", band_means(erb_edges(1, LOW_BINS + 1, LOW_BANDS)), persistent=False)
        nn.init.constant_(self.gains.bias, 1.0)  # start close to passing everything

    def forward(self, y: Tensor, low: Tensor, bands: Tensor) -> tuple[Tensor, Tensor]:
        energy = (low.real.square() + low.imag.square()) @ self.means.to(low.real.dtype)
        energies = torch.cat([torch.log10(energy + self.ENERGY_FLOOR) + 2, bands], 2)
        t = y.shape[1]
        ahead = [energies[:, k : k + t] for k in range(energies.shape[1] - t + 1)]
        heard = torch.cat([self.hear(y).flatten(2).float(), *ahead], 2)
        states = self.gru(heard.unsqueeze(2), "time").squeeze(2)
        told = self.spread(self.tell(states).unflatten(2, (-1, HEARD)))
        return norm_act(told, self.norm, None, add=y), self.gains(states).float().unflatten(2, (self.heads, -1))


def _bounded(x: Tensor, lowest: Tensor | None, gains: Tensor | None, heads: int) -> Tensor:
    """The mask of DCCRN-E: tanh bounds the magnitude, the phase stays. x (B, T, F, 2C), real parts first, lowest (B, T, L, 2C) for the
    lowest bins, gains (B, heads, T, F) -> (B, C, T, F) complex."""
    b, t, f, c = x.shape
    if fast(x) and x.requires_grad:
        gains = x.new_ones(b, heads, t, f) if gains is None else gains
        lowest = x.new_empty(b, t, 0, c) if lowest is None else lowest
        return torch.view_as_complex(Mask.apply(x.contiguous(), lowest.contiguous(), gains.contiguous()))
    if lowest is not None:
        x = x + F.pad(lowest, (0, 0, 0, f - lowest.shape[2]))
    m = torch.complex(*x.permute(0, 3, 1, 2).split(c // 2, 1))
    size = (m.real.square() + m.imag.square() + 1e-12).sqrt()
    bounded = torch.tanh(size) / size
    return m * (bounded if gains is None else bounded * gains.repeat_interleave(c // 2 // heads, 1))


class Dccrn(nn.Module):
    """Compressed low band and high-band features -> complex filter of the low band and gains of the high bands.

    With two heads, the second half of the coefficients and gains is for the previous frame: its taps are still
    counted back from the same frame, `taps_ahead` after the current one."""

    def __init__(self, sizes: Sizes = Sizes()):
        super().__init__()
        self.sizes = sizes
        c = (2, *sizes.channels)
        self.encoder = nn.ModuleList(
            ComplexConv2d(a, b, sizes.time_kernel, sizes.frames_ahead(i)) for i, (a, b) in enumerate(zip(c, c[1:]))
        )
        per_position = HIGH_BANDS // sizes.high_positions
        self.high_in = nn.Linear(per_position, c[-1])
        self.position = nn.Parameter(torch.randn(sizes.positions, c[-1]) * 0.1)
        self.mix = nn.ModuleList(FrequencyMix(c[-1], sizes.mix_hidden) for _ in range(sizes.blocks))
        self.memory = nn.ModuleList(TimeMemory(c[-1], sizes.hidden, sizes.ratio) for _ in range(sizes.blocks))
        out = (*sizes.channels[::-1], 2 * sizes.coefficients)
        self.decoder = nn.ModuleList(
            ComplexConvTranspose2d(a, b, last=i == len(out) - 2) for i, (a, b) in enumerate(zip(out, out[1:]))
        )
        self.high_out = nn.Linear(c[-1], sizes.heads * per_position)
        self.low_memory = LowMemory(sizes) if sizes.low_hidden else None
        self.full_memory = FullBandMemory(sizes) if sizes.full_hidden else None
        spread = band_interpolation(erb_edges(1, LOW_BINS + 1, LOW_BANDS))
        self.register_buffer("envelope", spread, persistent=False)
        with torch.no_grad():
            last = self.decoder[-1]
            last.real *= 0.3
            last.imag *= 0.3
            for head in range(sizes.heads):  # real part of the tap for the head's own frame: start close to passing everything
                last.bias[head * (sizes.taps + 1) + sizes.taps_ahead] = 1.0
            self.high_out.bias += 1.0

    def forward(self, low: Tensor, bands: Tensor, trace: dict | None = None) -> tuple[Tensor, Tensor]:
        """low: (B, T, 160) complex, compressed; bands: (B, T, 24) -> mask (B, heads taps, T, 160) complex, gains
        (B, T, heads 24)."""
        note = (lambda k, v: trace.__setitem__(k, v)) if trace is not None else (lambda k, v: None)
        b, t = bands.shape[:2]
        low, bands = silence_after(low, bands, self.sizes.look_ahead)
        x = torch.stack([low.real, low.imag], 1).contiguous(memory_format=torch.channels_last)
        skips = []
        for i, conv in enumerate(self.encoder):
            x = conv(x)
            skips.append(x[:, :, :t])
            note(f"encoder.{i}", x[:, :, :t].permute(0, 2, 3, 1))
        n = self.sizes.high_positions
        high = self.high_in(bands[:, :t].reshape(b, t, n, HIGH_BANDS // n))
        note("high_in", high)
        y = torch.cat([x.permute(0, 2, 3, 1), high], 2) + self.position  # (B, T, F, C)
        for i, (mix, memory) in enumerate(zip(self.mix, self.memory)):
            y = mix(y)
            note(f"mix.{i}", y)
            y = memory(y)
            note(f"memory.{i}", y)
            if i == 0 and self.full_memory:
                y, envelope = self.full_memory(y, low, bands)
                note("full_memory", y)
        lowest = self.low_memory(y, low[:, :t]) if self.low_memory else None
        if lowest is not None:
            note("low_memory", lowest)
        x, high = y.split([y.shape[2] - n, n], 2)
        heads = self.sizes.heads
        logits = self.high_out(high).float().unflatten(3, (heads, -1)).transpose(2, 3).flatten(3)  # (B, T, heads, 24)
        if self.full_memory:
            logits = logits + envelope[..., LOW_BANDS:]
        gains = torch.sigmoid(logits).flatten(2)
        x = x.permute(0, 3, 1, 2)
        for i, conv in enumerate(self.decoder):
            x = conv(x + skips[-1 - i])
            note(f"decoder.{i}", x.permute(0, 2, 3, 1))
        gains_low = None
        if self.full_memory:
            low_gains = torch.sigmoid(envelope[..., :LOW_BANDS])
            note("envelope", low_gains.flatten(2))
            gains_low = (low_gains @ self.envelope).transpose(1, 2)  # (B, heads, T, 160)
        mask = _bounded(x.float().permute(0, 2, 3, 1), lowest, gains_low, heads)
        note("mask", torch.view_as_real(mask))
        note("gains", gains)
        return mask, gains


def silence_after(low: Tensor, bands: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Features (B, T, 160) and (B, T, 24) followed by those of digital silence: (B, T + frames, ...)."""
    return F.pad(low, (0, 0, 0, frames)), F.pad(bands, (0, 0, 0, frames), value=SILENT_BAND)


@torch.no_grad()
def grow(model: Dccrn, sizes: Sizes) -> Dccrn:
    """The same network with more blocks, more frames in its filter, look-ahead, a memory for the lowest bins, or more units in the
    full-band memory, which have no effect yet: both layers of a new block are the identity (a norm of zero gain in front of the
    residual), new coefficients of the filter and weights of later frames are zero, and so is what others take from new units."""
    own = model.sizes
    growing = ("blocks", "taps", "look_ahead", "taps_ahead", "full_hidden")
    same = replace(own, low_hidden=own.low_hidden or sizes.low_hidden, **{k: getattr(sizes, k) for k in growing}) == sizes
    before = own.taps - own.taps_ahead, sizes.taps - sizes.taps_ahead
    fits = all(getattr(sizes, k) >= getattr(own, k) for k in growing) and bool(sizes.full_hidden) == bool(own.full_hidden)
    if not same or not fits or before[0] > before[1]:
        raise ValueError(
            f"{sizes} is not {own} with more blocks, taps or look-ahead, a memory for the lowest bins, or a larger one for the full band"
        )
    grown = Dccrn(sizes)
    state = grown.state_dict()
    first = sizes.taps_ahead - own.taps_ahead
    kept = slice(first, first + own.taps)
    for name, value in model.state_dict().items():
        if state[name].shape == value.shape:
            state[name].copy_(value)
            continue
        new, old = state[name], value
        if name.startswith("full_memory."):
            _widen(new, old, name.removeprefix("full_memory."), own, sizes)
            continue
        new.zero_()
        if name.startswith("encoder."):
            new[:, :, : value.shape[2]] = value
        else:  # the filter: (real and imaginary parts,) heads, taps
            parts = (LOWEST_BINS, 2) if name == "low_memory.linear.weight" else (2,) if name.endswith(".bias") else ()
            new = new.view(*parts, sizes.heads, sizes.taps, *value.shape[1:])
            old = old.view(*parts, own.heads, own.taps, *value.shape[1:])
            new.movedim(len(parts) + 1, 0)[kept] = old.movedim(len(parts) + 1, 0)
    for layer in (*grown.mix[own.blocks :], *grown.memory[own.blocks :]):
        layer.norm.weight.zero_()
    return grown.train(model.training)


def _widen(new: Tensor, old: Tensor, name: str, own: Sizes, sizes: Sizes) -> None:
    """Copies a weight of the full-band memory into one with more units or inputs; what is copied ignores the new ones."""
    (before, m_before), (_, m) = ((s.full_hidden, s.full_hidden // s.ratio) for s in (own, sizes))
    gates = torch.cat([gate * m + torch.arange(m_before) for gate in range(3)])
    state = torch.cat([torch.arange(m_before), m + torch.arange(before - m_before)])  # intrinsic units, then ghosts
    rows = gates if name in ("gru.w", "gru.u", "gru.b") else torch.arange(len(old))
    if old.dim() == 1:
        new[rows] = old
        return
    columns = state if name in ("gru.u", "gains.weight", "tell.weight") else torch.arange(old.shape[1])
    new[rows] = 0
    new[rows[:, None], columns] = old


@torch.no_grad()
def grown(own: Sizes, sizes: Sizes) -> dict[str, Tensor]:
    """1 where `grow` adds a weight to a parameter of a network of `own` sizes, 0 where it keeps one; parameters with both."""
    model = Dccrn(own)
    for p in model.parameters():
        p.fill_(math.nan)
    new = {name: (~p.isnan()).float() for name, p in grow(model, sizes).named_parameters()}
    return {name: mask for name, mask in new.items() if 0 < mask.sum() < mask.numel()}


def count_macs(sizes: Sizes) -> dict:
    """Multiply-adds per frame, by part."""
    c, f, enc = (2, *sizes.channels), LOW_BINS, 0
    for i, (a, b) in enumerate(zip(c, c[1:])):
        f //= 2
        enc += f * a * b * 3 * (sizes.time_kernel + sizes.frames_ahead(i))
    dec, out = 0, (*sizes.channels[::-1], 2 * sizes.coefficients)
    for a, b in zip(out, out[1:]):
        dec += f * a * b * 3
        f *= 2
    m, h, k, ch = sizes.hidden // sizes.ratio, sizes.hidden, sizes.mix_hidden, c[-1]
    memory = 3 * m * (ch + h) + m * (h - m) + h * ch
    mix = 2 * 3 * k * (ch + k) + 2 * k * ch
    high = (1 + sizes.heads) * HIGH_BANDS * ch
    h2, m2 = sizes.low_hidden, sizes.low_hidden // sizes.ratio
    low = 3 * m2 * (sizes.low_inputs + h2) + m2 * (h2 - m2) + h2 * LOWEST_BINS * 2 * sizes.coefficients
    h3, m3 = sizes.full_hidden, sizes.full_hidden // sizes.ratio
    told = sizes.positions * HEARD
    full = 3 * m3 * (sizes.full_inputs + h3) + m3 * (h3 - m3) + h3 * (told + sizes.heads * (LOW_BANDS + HIGH_BANDS))
    full = (full + 2 * told * ch) if h3 else 0
    parts = {
        "encoder": enc,
        "mix": mix * sizes.positions * sizes.blocks,
        "memory": memory * sizes.positions * sizes.blocks,
        "low memory": low,
        "full-band memory": full,
        "decoder": dec,
        "high band": high,
        "filter": 4 * LOW_BINS * sizes.coefficients,
    }
    return parts | {"total": sum(parts.values())}
