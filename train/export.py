"""Checkpoint -> the weights built into Wisp, golden vectors for the parity test, the model card's figures.

    python export.py runs/first/last.pt [--figures figures.json]

Writes ../bundled/wisp.safetensors and ../tests/golden/parity.safetensors, always together, each under a temporary name
and then renamed; with --figures (from `evaluate.py --json`) also the tables in ../bundled/MODEL_CARD.md.

The weights file: float32, metadata key `wisp` = {"format": 1, "sizes": {...}, ...}. Batch norm is folded in, so a complex
convolution is stored as the equivalent real one (a folded norm scales real and imaginary channels differently):

    encoder.I.weight [C_out, C_in, time, 3]  .bias [C_out]  .slope [C_out]
    decoder.I.weight [C_out, C_in, 3]        .bias          .slope (not on the last)
    high_in.weight .bias   position   high_out.weight .bias
    low_memory.gru.{w,b,u,cn,g,bg}   low_memory.linear.weight (if `low_hidden` is not 0)
    full_memory.hear.weight   .gru.{w,b,u,cn,g,bg}   .gains.{weight,bias}   .tell.weight   .spread.{weight,bias}
                                                              (if `full_hidden` is not 0)
    mix.I.up.{w,b,u,cn}   mix.I.down.{w,b,u,cn}   mix.I.linear.{weight,bias}
    memory.I.gru.{w,b,u,cn,g,bg} (no g, bg at ratio 1)   memory.I.linear.{weight,bias}

`Folded` below runs the network from exactly these.
"""

import argparse
import hashlib
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

import dsp
from model import (
    HEARD,
    HIGH_BANDS,
    LOW_BANDS,
    LOW_BINS,
    LOWEST_BINS,
    Dccrn,
    FullBandMemory,
    Sizes,
    _weight,
    band_interpolation,
    band_means,
    count_macs,
    erb_edges,
)

FORMAT = 1
HALVED = ("gru.w", "gru.u", "gru.g", "gains.weight", "tell.weight", "linear.weight")  # of memories that run once per frame
ROOT = Path(__file__).resolve().parent.parent
GOLDEN_RATE = 48000
GOLDEN_HOPS = 24  # with two frames of margin 26 frames, which keep the file near 1.5 MB


def load_checkpoint(path: str | Path, averaged: bool = True) -> tuple[Dccrn, dict]:
    """The network (by default with the averaged weights) in evaluation mode, and the checkpoint's metadata."""
    c = torch.load(path, map_location="cpu", weights_only=True)
    model = Dccrn(sizes_from(c["sizes"]))
    model.load_state_dict(c["ema"] if averaged and "ema" in c else c["model"])
    before = c.get("before", {"step": 0, "hours": 0.0})
    about = {k: c.get(k, 0) + before[k] for k in ("step", "hours")}
    return model.eval(), {"step": int(about["step"]), "hours": round(float(about["hours"]), 2)}


@torch.no_grad()
def blend(model: Dccrn, other: Dccrn, share: float) -> None:
    """Moves the weights by `share` towards those of another checkpoint of the same run (Izmailov et al. 2018)."""
    if model.sizes != other.sizes:
        raise SystemExit(f"blend: sizes {other.sizes}, expected {model.sizes}")
    if not 0 <= share <= 1:
        raise SystemExit(f"blend: share {share}, expected 0 to 1")
    theirs = other.state_dict()
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            value.lerp_(theirs[name], share)


def sizes_from(fields: dict) -> Sizes:
    return Sizes(**fields | {"channels": tuple(fields["channels"])})


# ---- folding --------------------------------------------------------------------------------------------------------


def _norm(norm: torch.nn.Module) -> tuple[Tensor, Tensor]:
    """Batch norm as y = x * scale + shift."""
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return scale, norm.bias.double() - norm.running_mean.double() * scale


@torch.no_grad()
def fold(model: Dccrn) -> dict[str, Tensor]:
    out = {}
    for part, layers in (("encoder", model.encoder), ("decoder", model.decoder)):
        for i, conv in enumerate(layers):
            weight = _weight(conv).double()
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


@torch.no_grad()
def grow(model: Dccrn, sizes: Sizes) -> Dccrn:
    """The same network with more blocks, more frames in its filter, or a memory for the lowest bins, which have no effect yet: both
    layers of a new block are the identity (a norm of zero gain in front of the residual), new coefficients of the filter are
    zero."""
    own = model.sizes
    same = replace(own, blocks=sizes.blocks, taps=sizes.taps, low_hidden=own.low_hidden or sizes.low_hidden) == sizes
    if not same or sizes.blocks < own.blocks or sizes.taps < own.taps:
        raise ValueError(f"{sizes} is not {own} with more blocks or taps, or a memory for the lowest bins")
    grown = Dccrn(sizes)
    state = grown.state_dict()
    for name, value in model.state_dict().items():
        if state[name].shape == value.shape:
            state[name].copy_(value)
        elif name == "low_memory.linear.weight":
            state[name].zero_().unflatten(0, (LOWEST_BINS, 2, -1))[:, :, : own.taps] = value.unflatten(0, (LOWEST_BINS, 2, -1))
        elif name.endswith(".bias"):  # real parts, imaginary parts
            state[name].zero_().view(2, -1)[:, : own.taps] = value.view(2, -1)
        else:
            state[name].zero_()[: own.taps] = value
    for layer in (*grown.mix[own.blocks :], *grown.memory[own.blocks :]):
        layer.norm.weight.zero_()
    return grown.train(model.training)


class Folded:
    """The network from the weights file only, frame by frame like `src/nn`, in the given precision.

    Called like Dccrn: low (B, T, 160) complex, bands (B, T, 24) -> mask (B, heads taps, T, 160), gains (B, T, heads 24).
    """

    def __init__(self, path: str | Path, dtype: torch.dtype = torch.float64):
        with safe_open(path, "pt") as f:
            self.about = json.loads(f.metadata()["wisp"])
            self.w = {k: f.get_tensor(k).to(dtype) for k in f.keys()}
        if self.about["format"] != FORMAT:
            raise ValueError(f"{path}: format {self.about['format']}, expected {FORMAT}")
        self.sizes = sizes_from(self.about["sizes"])

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
        x, skips = torch.stack([low.real, low.imag], 1), []
        for i in range(len(self.sizes.channels)):
            weight, bias = self.w[f"encoder.{i}.weight"], self.w[f"encoder.{i}.bias"]
            x = F.conv2d(F.pad(x, (1, 0, weight.shape[2] - 1, 0)), weight, bias, stride=(1, 2))
            x = self.prelu(x, f"encoder.{i}")
            skips.append(x)
            note(f"encoder.{i}", x.permute(0, 2, 3, 1))
        high = self.linear(bands.reshape(b, t, n, HIGH_BANDS // n), "high_in")
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
                heard = torch.cat([self.linear(y, "full_memory.hear").flatten(2), log, bands], 2)
                states = self.gru(heard.transpose(0, 1), "full_memory.gru").transpose(0, 1)
                envelope = self.linear(states, "full_memory.gains").unflatten(2, (self.sizes.heads, -1))
                y = y + self.linear(self.linear(states, "full_memory.tell").unflatten(2, (-1, HEARD)), "full_memory.spread")
                note("full_memory", y)
        lowest = x.new_zeros(b, t, LOWEST_BINS, 2 * self.sizes.coefficients)
        if self.sizes.low_hidden:
            bins = low[..., :LOWEST_BINS]
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


# ---- golden vectors -------------------------------------------------------------------------------------------------


def golden_signal(seed: int = 7) -> Tensor:
    """A gliding voice of two vowels with breath up to 20 kHz, in coloured noise: (N,) float32 at 48 kHz, about -20 dBFS."""
    rng, n = np.random.default_rng(seed), GOLDEN_HOPS * GOLDEN_RATE // 100
    t = np.arange(n) / GOLDEN_RATE
    pitch = 120 + 40 * np.sin(2 * np.pi * 2.3 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / GOLDEN_RATE
    vowel = np.clip((t - 0.15) / 0.05, 0, 1)
    voice = np.zeros(n)
    for k in range(1, 60):
        f = k * pitch
        formants = ((700, 300), (1200, 2300), (2500, 3000))
        gain = sum(np.exp(-(((f - a - (b - a) * vowel) / (120 + 0.08 * f)) ** 2)) for a, b in formants)
        voice += (gain + 0.003) * np.sin(k * phase)
    breath = np.diff(rng.standard_normal(n + 1)) * (0.02 + 0.1 * (np.abs(t - 0.26) < 0.03))
    voice = (voice + breath) * np.clip(t / 0.06, 0, 1) * np.clip((t[-1] - t) / 0.03, 0, 1)
    noise = rng.standard_normal(n)
    noise[1:] += 0.7 * np.convolve(noise, np.ones(8) / 8, "same")[:-1]
    x = voice / np.sqrt(np.mean(voice**2)) + noise / np.sqrt(np.mean(noise**2)) * 10 ** (-5 / 20)
    return torch.from_numpy((x * 0.1).astype(np.float32))


class Recorder:
    """Records a network's inputs, layers and outputs."""

    def __init__(self, network):
        self.network, self.kept = network, {}

    def __call__(self, low: Tensor, bands: Tensor):
        trace: dict = {}
        mask, gains = self.network(low, bands, trace)
        self.kept = {"low": torch.view_as_real(low)[0], "bands": bands[0]}
        self.kept["mask"] = trace.pop("mask")[0].transpose(0, 1)  # (T, taps, 160, 2)
        self.kept["gains"] = trace.pop("gains")[0]
        self.kept |= {f"layer.{k}": v[0] for k, v in trace.items()}
        return mask, gains


@torch.no_grad()
def vectors(network, x: Tensor) -> dict[str, Tensor]:
    """Everything that the parity test compares, in the precision of x. x: (N,) at 48 kHz.

    Frame t covers samples (t-1) hop .. (t+1) hop of the input, zeros beyond its ends, so the output has no delay.
    """
    default = torch.get_default_dtype()
    torch.set_default_dtype(x.dtype)  # the band matrices are made in it
    try:
        recorder = Recorder(network)
        output = dsp.denoise(recorder, x[None], GOLDEN_RATE)[0]
        hop = GOLDEN_RATE // 100
        spectrum = dsp.stft(F.pad(x[None], (hop, 2 * hop)), GOLDEN_RATE)[0]
    finally:
        torch.set_default_dtype(default)
    return {"input": x, "spectrum": torch.view_as_real(spectrum), "output": output} | recorder.kept


def difference(a: dict[str, Tensor], b: dict[str, Tensor]) -> dict[str, float]:
    """Largest absolute difference by name."""
    if a.keys() != b.keys():
        raise ValueError(f"not the same vectors: {sorted(a.keys() ^ b.keys())}")
    return {k: float((a[k].double() - b[k].double()).abs().max()) for k in a}


# ---- files ----------------------------------------------------------------------------------------------------------


def export(model: Dccrn, about: dict, weights: Path, golden: Path, tolerance: float = 1e-4) -> dict:
    """Write both files; -> the largest difference, layer by layer, between the folded network and the unfolded one."""
    weights.parent.mkdir(parents=True, exist_ok=True)
    golden.parent.mkdir(parents=True, exist_ok=True)
    parts = [p.with_name(p.name + ".part") for p in (weights, golden)]
    tensors = fold(model)
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name}: not finite")
    about = {"format": FORMAT, "sizes": model.sizes.json()} | about | {"parameters": sum(v.numel() for v in tensors.values())}
    try:
        save_file(tensors, parts[0], {"wisp": json.dumps(about)})
        # From the file as written, in double precision: any remaining difference is rounding on the other side.
        x = golden_signal()
        exact = vectors(Folded(parts[0]), x.double())
        errors = difference(exact, vectors(model, x))
        worst = {k: v for k, v in errors.items() if v > tolerance * max(1.0, float(exact[k].abs().max()))}
        if worst:
            raise ValueError(f"folding changed the network: {worst}")
        note = {
            "weights_sha256": hashlib.sha256(parts[0].read_bytes()).hexdigest(),
            "rate": GOLDEN_RATE,
            "alignment": "frame t covers input samples (t-1)*hop..(t+1)*hop; output sample i belongs to input sample i",
        }
        save_file({k: v.float().contiguous() for k, v in exact.items()}, parts[1], {"wisp": json.dumps(note)})
        for p in parts:
            p.chmod(0o644)  # save_file makes them private
        os.replace(parts[0], weights)
        os.replace(parts[1], golden)
    finally:
        for p in parts:
            p.unlink(missing_ok=True)
    return errors


def replace_block(card: Path, name: str, text: str) -> None:
    """Put text between <!-- NAME --> and <!-- /NAME -->."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    old = card.read_text(encoding="utf-8")
    head, found, rest = old.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{card}: no {begin} ... {end}")
    part = card.with_name(card.name + ".part")
    part.write_text(f"{head}{begin}\n{text.strip()}\n{end}{tail}", encoding="utf-8")
    os.replace(part, card)


def facts(about: dict, weights: Path) -> str:
    """The weights file's metadata as a table."""
    sizes = sizes_from(about["sizes"])
    macs = count_macs(sizes)
    rows = [
        ("Sizes", ", ".join(f"{k} {v}" for k, v in about["sizes"].items())),
        ("Parameters", f"{about['parameters']:,} ({weights.stat().st_size / 1024:.0f} KiB as float32)"),
        ("Multiply-adds per second", f"{macs['total'] * 100 / 1e6:.1f} M"),
        ("of these", ", ".join(f"{k} {v * 100 / 1e6:.1f} M" for k, v in macs.items() if k != "total")),
        ("Audio hours seen in training", f"{about['hours']:g} ({about['step']:,} steps)"),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows)])


def table(reports: list[dict]) -> str:
    """evaluate.py's JSON reports as a table, and a second one with the judges' scores; a missing score is a dash.
    Scores by band, named "name 60-300", share a column."""
    said = list(dict.fromkeys(k for r in reports for k in r.get("judges", [])))
    own = list(dict.fromkeys(k for r in reports for k in r["mean"] if k not in said))

    def cell(mean: dict, keys: list[str]) -> str:
        values = [mean.get(k) for k in keys]
        digits = [1 if len(keys) > 1 or v is None or abs(v) >= 10 else 3 for v in values]
        return " ".join("-" if v is None or math.isnan(v) else f"{round(v, d) + 0.0:.{d}f}" for v, d in zip(values, digits))

    tables = []
    for keys in filter(None, (own, said)):
        columns: dict[str, list[str]] = {}
        for k in keys:
            name, _, band = k.rpartition(" ")
            columns.setdefault(name if band[:1].isdigit() else k, []).append(k)
        lines = ["| set | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
        for r in reports:
            cells = (cell(r["mean"], group) for group in columns.values())
            lines.append(f"| {r['name']} ({r['pairs']} pairs) | " + " | ".join(cells) + " |")
        tables.append("\n".join(lines))
    return "\n\n".join(tables)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint", type=Path)
    p.add_argument("--weights", type=Path, default=ROOT / "bundled/wisp.safetensors")
    p.add_argument("--golden", type=Path, default=ROOT / "tests/golden/parity.safetensors")
    p.add_argument("--card", type=Path, help="default: MODEL_CARD.md beside the weights, if it exists")
    p.add_argument("--figures", type=Path, nargs="+", default=[], help="from evaluate.py --json")
    p.add_argument("--last", action="store_true", help="the last weights instead of their running average")
    p.add_argument("--blend", nargs=2, metavar=("CHECKPOINT", "SHARE"), help="mix in this share of another checkpoint")
    a = p.parse_args()
    torch.set_num_threads(1)
    model, about = load_checkpoint(a.checkpoint, averaged=not a.last)
    if a.blend:
        blend(model, load_checkpoint(a.blend[0], averaged=not a.last)[0], float(a.blend[1]))
    halve(model)
    errors = export(model, about, a.weights, a.golden)
    name, worst = max(errors.items(), key=lambda kv: kv[1])
    about = Folded(a.weights).about
    print(f"{a.weights}: {about['parameters']} weights, {about['hours']} h, step {about['step']}")
    print(f"{a.golden}: {a.golden.stat().st_size} bytes; folded against unfolded at most {worst:.1e} ({name})")
    card = a.card or a.weights.with_name("MODEL_CARD.md")
    if a.card or card.exists():
        replace_block(card, "facts", facts(about, a.weights))
        if a.figures:
            reports = [r for f in a.figures for r in json.loads(f.read_text(encoding="utf-8"))]
            replace_block(card, "figures", table(reports))
        print(card)


if __name__ == "__main__":
    main()
