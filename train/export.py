"""Checkpoint -> the weights built into Wisp, golden vectors for the parity test, the model card's figures.

    python export.py runs/first/last.pt [--quality studio] [--figures figures.json]

Writes ../bundled/live.safetensors (`weights.py`) and ../tests/golden/live.safetensors, or those of the other quality, always
together, each under a temporary name and then renamed; with --figures (from `evaluate.py --json`) also the tables in ../bundled/MODEL_CARD.md.
"""

import argparse
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

import dsp
from card import facts, replace_block, table
from checkpoint import blend, load_network
from model import Dccrn
from weights import FORMAT, Folded, fold, halve, shortened

ROOT = Path(__file__).resolve().parent.parent
GOLDEN_RATE = 48000
GOLDEN_HOPS = 24  # with two frames of margin 26 frames, which keep the file near 1.5 MB


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
        self.network, self.sizes, self.kept = network, network.sizes, {}

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
    """Write both files; -> the largest difference, layer by layer, between the folded network and the unfolded one.

    What is written is the folded network with shortened weights."""
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
        x = golden_signal()
        exact = vectors(Folded(parts[0]), x.double())
        errors = difference(exact, vectors(model, x))
        worst = {k: v for k, v in errors.items() if v > tolerance * max(1.0, float(exact[k].abs().max()))}
        if worst:
            raise ValueError(f"folding changed the network: {worst}")
        save_file(shortened(tensors), parts[0], {"wisp": json.dumps(about)})
        # From the file as written, in double precision: any remaining difference is rounding on the other side.
        exact = vectors(Folded(parts[0]), x.double())
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


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint", type=Path)
    p.add_argument("--quality", choices=["live", "studio"], default="live")
    p.add_argument("--weights", type=Path, help="default: bundled/QUALITY.safetensors")
    p.add_argument("--golden", type=Path, help="default: tests/golden/QUALITY.safetensors")
    p.add_argument("--card", type=Path, help="default: MODEL_CARD.md beside the weights, if it exists")
    p.add_argument("--figures", type=Path, nargs="+", default=[], help="from evaluate.py --json")
    p.add_argument("--last", action="store_true", help="the last weights instead of their running average")
    p.add_argument("--blend", nargs=2, metavar=("CHECKPOINT", "SHARE"), help="mix in this share of another checkpoint")
    a = p.parse_args()
    a.weights = a.weights or ROOT / f"bundled/{a.quality}.safetensors"
    a.golden = a.golden or ROOT / f"tests/golden/{a.quality}.safetensors"
    torch.set_num_threads(1)
    model, about = load_network(a.checkpoint, averaged=not a.last)
    if a.blend:
        blend(model, load_network(a.blend[0], averaged=not a.last)[0], float(a.blend[1]))
    halve(model)
    errors = export(model, about, a.weights, a.golden)
    name, worst = max(errors.items(), key=lambda kv: kv[1])
    about = Folded(a.weights).about
    print(f"{a.weights}: {about['parameters']} weights, {about['hours']} h, step {about['step']}")
    print(f"{a.golden}: {a.golden.stat().st_size} bytes; folded against unfolded at most {worst:.1e} ({name})")
    card = a.card or a.weights.with_name("MODEL_CARD.md")
    if a.card or card.exists():
        of = "" if a.quality == "live" else f"{a.quality} "
        replace_block(card, f"{of}facts", facts(about, a.weights))
        if a.figures:
            reports = [r for f in a.figures for r in json.loads(f.read_text(encoding="utf-8"))]
            replace_block(card, f"{of}figures", table(reports))
        print(card)


if __name__ == "__main__":
    main()
