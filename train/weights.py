"""The weights file: the network with its norms folded in.

Safetensors, float32, metadata key `wisp` = {"format": 1, "sizes": {...}, ...}. Batch norm is folded into the layer before
it, so a complex
convolution is stored as the equivalent real one (a folded norm scales real and imaginary channels differently):

    encoder.I.weight [C_out, C_in, time, 3]  .bias [C_out]  .slope [C_out]      (time: oldest frame first, then those ahead)
    decoder.I.weight [C_out, C_in, 3]        .bias          .slope (not on the last)
    high_in.weight .bias   position   high_out.weight .bias
    low_memory.gru.{w,b,u,cn,g,bg}   low_memory.linear.weight (if `low_hidden` is not 0)
    full_memory.hear.weight   .gru.{w,b,u,cn,g,bg}   .gains.{weight,bias}   .tell.weight   .spread.{weight,bias}
                                                              (if `full_hidden` is not 0)
    mix.I.up.{w,b,u,cn}   mix.I.down.{w,b,u,cn}   mix.I.linear.{weight,bias}
    memory.I.gru.{w,b,u,cn,g,bg} (no g, bg at ratio 1)   memory.I.linear.{weight,bias}
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor

from dsp import HIGH_BANDS, LOW_BANDS, LOW_BINS, band_interpolation, band_means, erb_edges
from model import HEARD, LOWEST_BINS, Dccrn, FullBandMemory, Sizes, complex_weight, silence_after

FORMAT = 1
MANTISSA = 12  # bits that weights keep of 23: a rounding error of -83 dB, and an eighth less to download
HALVED = ("gru.w", "gru.u", "gru.g", "gains.weight", "tell.weight", "linear.weight")  # of memories that run once per frame


def _norm(norm: torch.nn.Module) -> tuple[Tensor, Tensor]:
    """Batch norm as y = x * scale + shift."""
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return scale, norm.bias.double() - norm.running_mean.double() * scale


@torch.no_grad()
def fold(model: Dccrn) -> dict[str, Tensor]:
    out = {}
    for part, layers in (("encoder", model.encoder), ("decoder", model.decoder)):
        for i, conv in enumerate(layers):
            weight = complex_weight(conv).double()
            if hasattr(conv, "norm"):
                scale, bias = _norm(conv.norm)
                weight = weight * scale.view(-1, *[1] * (weight.dim() - 1))
                out[f"{part}.{i}.slope"] = conv.act.weight
            else:
                bias = conv.bias
            out[f"{part}.{i}.weight"], out[f"{part}.{i}.bias"] = weight, bias
    for name, layers in (("mix", model.mix), ("memory", model.memory)):
        for i, layer in enumerate(layers):
            scale, shift = _norm(layer.norm)
            out[f"{name}.{i}.linear.weight"] = layer.linear.weight.double() * scale[:, None]
            out[f"{name}.{i}.linear.bias"] = shift
            for child in ("up", "down") if name == "mix" else ("gru",):
                out |= {f"{name}.{i}.{child}.{k}": v for k, v in getattr(layer, child).named_parameters() if v.numel()}
    for name in ("high_in", "high_out"):
        out |= {f"{name}.{k}": v for k, v in getattr(model, name).named_parameters()}
    out["position"] = model.position
    if model.low_memory:
        out |= {f"low_memory.gru.{k}": v for k, v in model.low_memory.gru.named_parameters() if v.numel()}
        out["low_memory.linear.weight"] = model.low_memory.linear.weight * model.low_memory.SCALE
    if model.full_memory:
        scale, shift = _norm(model.full_memory.norm)
        out |= {f"full_memory.{k}": v for k, v in model.full_memory.named_parameters() if v.numel() and not k.startswith("norm.")}
        out["full_memory.spread.weight"] = model.full_memory.spread.weight.double() * scale[:, None]
        out["full_memory.spread.bias"] = shift
    return {k: _snapped(k, v.detach().float()).contiguous().clone() for k, v in sorted(out.items())}


@torch.no_grad()
def halve(model: Dccrn) -> None:
    """Rounds the weights of the memories that run once a frame to bfloat16, so that the engine reads half as much."""
    for memory in (model.full_memory, model.low_memory):
        if memory:
            scale = getattr(memory, "SCALE", 1)
            for name, p in memory.named_parameters():
                if name in HALVED:
                    part = scale if name == "linear.weight" else 1
                    p.copy_((p * part).bfloat16().float() / part)


def _snapped(name: str, x: Tensor) -> Tensor:
    """A bfloat16 number, apart from float32 rounding, becomes that number."""
    if not name.startswith(("full_memory.", "low_memory.")) or name.split(".", 1)[1] not in HALVED:
        return x
    half = x.bfloat16().float()
    return torch.where((x - half).abs() <= 1e-6 * half.abs(), half, x)


def shortened(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """float32 tensors rounded to MANTISSA bits, so that they compress better. bfloat16 numbers stay as they are."""
    unit = 1 << (23 - MANTISSA)
    return {k: ((v.view(torch.int32) + unit // 2) & -unit).view(torch.float32) for k, v in tensors.items()}


@torch.no_grad()
def unfold(tensors: dict[str, Tensor], sizes: Sizes) -> Dccrn:
    """The inverse: a network to continue training from a weights file.

    A folded norm becomes one with unit statistics; `calibrate` gives it those of real batches."""
    model = Dccrn(sizes)
    left = dict(tensors)

    def put(name: str, parameter: Tensor) -> None:
        value = left.pop(name)
        if value.shape != parameter.shape:
            raise ValueError(f"{name}: shape {list(value.shape)}, expected {list(parameter.shape)}")
        parameter.copy_(value)

    for part, layers in (("encoder", model.encoder), ("decoder", model.decoder)):
        for i, conv in enumerate(layers):
            weight, bias = left.pop(f"{part}.{i}.weight"), left.pop(f"{part}.{i}.bias")
            if weight.shape[:2] != (2 * conv.real.shape[0], 2 * conv.real.shape[1]):
                raise ValueError(f"{part}.{i}.weight: shape {list(weight.shape)} does not fit {sizes}")
            top, bottom = weight.chunk(2)
            real, imag = top.chunk(2, 1)[0], -top.chunk(2, 1)[1]
            conv.real.copy_(real)
            conv.imag.copy_(imag)
            if not hasattr(conv, "norm"):
                conv.bias.copy_(bias)
                continue
            put(f"{part}.{i}.slope", conv.act.weight)
            # The imaginary channels' rows are the same weights under another gain of the norm.
            same = torch.cat([imag, real], 1).flatten(1)
            gain = (bottom.flatten(1) * same).sum(1) / same.square().sum(1)
            _unit(conv.norm, torch.cat([torch.ones_like(gain), gain]), bias)
    for name, layers in (("mix", model.mix), ("memory", model.memory)):
        for i, layer in enumerate(layers):
            put(f"{name}.{i}.linear.weight", layer.linear.weight)
            _unit(layer.norm, torch.ones_like(layer.norm.weight), left.pop(f"{name}.{i}.linear.bias"))
            for child in ("up", "down") if name == "mix" else ("gru",):
                for k, parameter in getattr(layer, child).named_parameters():
                    if parameter.numel():
                        put(f"{name}.{i}.{child}.{k}", parameter)
    for name in ("high_in", "high_out"):
        for k, parameter in getattr(model, name).named_parameters():
            put(f"{name}.{k}", parameter)
    put("position", model.position)
    if model.low_memory:
        for k, parameter in model.low_memory.named_parameters():
            if parameter.numel():
                put(f"low_memory.{k}", parameter)
        model.low_memory.linear.weight /= model.low_memory.SCALE
    if model.full_memory:
        _unit(model.full_memory.norm, torch.ones_like(model.full_memory.norm.weight), left.pop("full_memory.spread.bias"))
        for k, parameter in model.full_memory.named_parameters():
            if parameter.numel() and not k.startswith("norm."):
                put(f"full_memory.{k}", parameter)
    if left:
        raise ValueError(f"left over: {', '.join(sorted(left))}")
    return model.eval()


def _unit(norm: torch.nn.Module, gain: Tensor, bias: Tensor) -> None:
    """y = gain * x + bias, exactly."""
    norm.running_mean.zero_()
    norm.running_var.fill_(1 - norm.eps)
    norm.weight.copy_(gain)
    norm.bias.copy_(bias)


@torch.no_grad()
def calibrate(model: Dccrn, low: Tensor, bands: Tensor) -> None:
    """Gives every norm the statistics of its input in this batch, and weights that compensate for them: the network is the
    same in evaluation as before, and almost the same in training. One pass per norm, because each determines the next one's input."""
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm1d)]
    wanted = [_norm(norm) for norm in norms]
    momentum = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    model.train()
    for _ in norms:
        model(low, bands)
        for norm, (scale, shift) in zip(norms, wanted):
            deviation = (norm.running_var.double() + norm.eps).sqrt()
            norm.weight.copy_(scale * deviation)
            norm.bias.copy_(shift + scale * norm.running_mean.double())
    for norm, m in zip(norms, momentum):
        norm.momentum = m
    model.eval()


class Folded:
    """The network from the weights file only, frame by frame like `src/nn`, in the given precision.

    Called like Dccrn: low (B, T, 160) complex, bands (B, T, 24) -> mask (B, heads taps, T, 160), gains (B, T, heads 24).
    Where it looks ahead, silence follows.
    """

    def __init__(self, path: str | Path, dtype: torch.dtype = torch.float64):
        with safe_open(path, "pt") as f:
            self.about = json.loads(f.metadata()["wisp"])
            self.w = {k: f.get_tensor(k).to(dtype) for k in f.keys()}
        if self.about["format"] != FORMAT:
            raise ValueError(f"{path}: format {self.about['format']}, expected {FORMAT}")
        self.sizes = Sizes.read(self.about["sizes"])

    def linear(self, x: Tensor, name: str) -> Tensor:
        return x @ self.w[name + ".weight"].t() + self.w.get(name + ".bias", 0)

    def prelu(self, x: Tensor, name: str) -> Tensor:
        slope = self.w.get(name + ".slope")  # the last layer has none
        return x if slope is None else torch.where(x >= 0, x, x * slope[:, None, None])

    def gru(self, x: Tensor, name: str) -> Tensor:
        """(steps, rows, inputs) -> (steps, rows, hidden); GhostGru's equations, one step at a time."""
        w, b, u, cn = (self.w[f"{name}.{k}"] for k in ("w", "b", "u", "cn"))
        g, bg = self.w.get(name + ".g"), self.w.get(name + ".bg")
        m, out = cn.shape[0], []
        s = x.new_zeros(x.shape[1], u.shape[1])
        for step in x:
            gx, a = step @ w.t() + b, s @ u.t()
            r, z = torch.sigmoid(gx[:, : 2 * m] + a[:, : 2 * m]).chunk(2, -1)
            n = torch.tanh(gx[:, 2 * m :] + r * (a[:, 2 * m :] + cn))
            h = (1 - z) * n + z * s[:, :m]
            s = h if g is None else torch.cat([h, torch.tanh(h @ g.t() + bg)], -1)
            out.append(s)
        return torch.stack(out)

    @torch.no_grad()
    def __call__(self, low: Tensor, bands: Tensor, trace: dict | None = None) -> tuple[Tensor, Tensor]:
        note = (lambda k, v: trace.__setitem__(k, v)) if trace is not None else (lambda k, v: None)
        n, (b, t) = self.sizes.high_positions, bands.shape[:2]
        low, bands = silence_after(low, bands, self.sizes.look_ahead)
        x, skips = torch.stack([low.real, low.imag], 1), []
        for i in range(len(self.sizes.channels)):
            weight, bias = self.w[f"encoder.{i}.weight"], self.w[f"encoder.{i}.bias"]
            x = F.conv2d(F.pad(x, (1, 0, self.sizes.time_kernel - 1, 0)), weight, bias, stride=(1, 2))
            x = self.prelu(x, f"encoder.{i}")
            skips.append(x[:, :, :t])
            note(f"encoder.{i}", x[:, :, :t].permute(0, 2, 3, 1))
        high = self.linear(bands[:, :t].reshape(b, t, n, HIGH_BANDS // n), "high_in")
        note("high_in", high)
        y = torch.cat([x.permute(0, 2, 3, 1), high], 2) + self.w["position"]  # (B, T, F, C)
        f, c = y.shape[2:]
        for i in range(self.sizes.blocks):
            rows = y.permute(2, 0, 1, 3).reshape(f, b * t, c)
            mixed = torch.cat([self.gru(rows, f"mix.{i}.up"), self.gru(rows.flip(0), f"mix.{i}.down").flip(0)], -1)
            y = y + self.linear(mixed, f"mix.{i}.linear").view(f, b, t, c).permute(1, 2, 0, 3)
            note(f"mix.{i}", y)
            over_time = self.gru(y.permute(1, 0, 2, 3).reshape(t, b * f, c), f"memory.{i}.gru")
            y = y + self.linear(over_time, f"memory.{i}.linear").view(t, b, f, c).permute(1, 0, 2, 3)
            note(f"memory.{i}", y)
            if i == 0 and self.sizes.full_hidden:
                edges = erb_edges(1, LOW_BINS + 1, LOW_BANDS)
                energy = (low.real.square() + low.imag.square()) @ band_means(edges).to(low.real.dtype)
                log = torch.log10(energy + FullBandMemory.ENERGY_FLOOR) + 2
                energies = torch.cat([log, bands], 2)
                ahead = [energies[:, k : k + t] for k in range(self.sizes.look_ahead + 1)]
                heard = torch.cat([self.linear(y, "full_memory.hear").flatten(2), *ahead], 2)
                states = self.gru(heard.transpose(0, 1), "full_memory.gru").transpose(0, 1)
                envelope = self.linear(states, "full_memory.gains").unflatten(2, (self.sizes.heads, -1))
                y = y + self.linear(self.linear(states, "full_memory.tell").unflatten(2, (-1, HEARD)), "full_memory.spread")
                note("full_memory", y)
        lowest = x.new_zeros(b, t, LOWEST_BINS, 2 * self.sizes.coefficients)
        if self.sizes.low_hidden:
            bins = low[:, :t, :LOWEST_BINS]
            heard = torch.cat([y[:, :, : self.sizes.lowest_positions].flatten(2), bins.real, bins.imag], 2)
            states = self.gru(heard.transpose(0, 1), "low_memory.gru").transpose(0, 1)
            lowest = (states @ self.w["low_memory.linear.weight"].t()).unflatten(2, (LOWEST_BINS, -1))
            note("low_memory", lowest)
        heads = self.sizes.heads
        logits = self.linear(y[:, :, -n:], "high_out").unflatten(3, (heads, -1)).transpose(2, 3).flatten(3)
        if self.sizes.full_hidden:
            logits = logits + envelope[..., LOW_BANDS:]
        gains = torch.sigmoid(logits).flatten(2)
        x = y[:, :, :-n].permute(0, 3, 1, 2)
        for i in range(len(self.sizes.channels)):
            x, w = x + skips[-1 - i], self.w[f"decoder.{i}.weight"]
            even = torch.einsum("oc,bctf->botf", w[:, :, 1], x)
            odd = torch.einsum("oc,bctf->botf", w[:, :, 2], x)
            odd[..., :-1] += torch.einsum("oc,bctf->botf", w[:, :, 0], x[..., 1:])
            x = torch.stack([even, odd], -1).flatten(3) + self.w[f"decoder.{i}.bias"][:, None, None]
            x = self.prelu(x, f"decoder.{i}")
            note(f"decoder.{i}", x.permute(0, 2, 3, 1))
        x = x + F.pad(lowest.permute(0, 3, 1, 2), (0, LOW_BINS - LOWEST_BINS))
        m = torch.complex(*(part.contiguous() for part in x.split(self.sizes.coefficients, 1)))
        size = (m.real.square() + m.imag.square() + 1e-12).sqrt()
        mask = m * (torch.tanh(size) / size)
        if self.sizes.full_hidden:
            low_gains = torch.sigmoid(envelope[..., :LOW_BANDS])
            note("envelope", low_gains.flatten(2))
            spread = (low_gains @ band_interpolation(edges).to(low_gains.dtype)).transpose(1, 2)
            mask = mask * spread.repeat_interleave(self.sizes.taps, 1)
        note("mask", torch.view_as_real(mask))
        note("gains", gains)
        return mask, gains
