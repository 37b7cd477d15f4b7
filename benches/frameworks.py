"""The same network, frame by frame with explicit state, in PyTorch, ONNX Runtime, tract and Wisp, one thread each.

    pip install -r train/requirements.txt onnx onnxruntime
    python benches/frameworks.py [--steps 5000] [--weights bundled/live.safetensors]

Prints thread time per 10 ms frame in microseconds, from features to mask. Every framework's output is first compared with
`Folded` in train/weights.py. Cargo builds Wisp and benches/tract, which takes minutes the first time.
"""

import argparse
import math
import os
import re
import subprocess
import sys
import time
import warnings
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "train"))

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from dsp import HIGH_BANDS, LOW_BANDS, LOW_BINS, band_interpolation, band_means, erb_edges  # noqa: E402
from model import HEARD, LOWEST_BINS, FullBandMemory  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from weights import Folded  # noqa: E402

TOLERANCE = 1e-4


class Step(nn.Module):
    """One frame: low (1, 2, 1, 160), bands (n, 24/n) and the state -> real, imag (heads taps, 160), gains (heads 24) and the
    new state.

    State: each encoder layer's previous frames (1, C, time_kernel - 1, F), then (positions, hidden) for each memory, and
    (1, low_hidden) and (1, full_hidden) if the network has those memories.
    """

    def __init__(self, folded: Folded):
        super().__init__()
        self.sizes, w = folded.sizes, folded.w
        self.names = sorted(w)
        for name in self.names:
            self.register_buffer(name.replace(".", "_"), w[name])
        k = self.sizes.mix_hidden
        self.mix = nn.ModuleList(nn.GRU(self.sizes.channels[-1], k, bidirectional=True) for _ in range(self.sizes.blocks))
        for i, gru in enumerate(self.mix):
            for direction, suffix in (("up", ""), ("down", "_reverse")):
                w_, b, u, cn = (w[f"mix.{i}.{direction}.{leaf}"] for leaf in ("w", "b", "u", "cn"))
                getattr(gru, "weight_ih_l0" + suffix).data.copy_(w_)
                getattr(gru, "bias_ih_l0" + suffix).data.copy_(b)
                getattr(gru, "weight_hh_l0" + suffix).data.copy_(u)
                getattr(gru, "bias_hh_l0" + suffix).data.copy_(torch.cat([torch.zeros(2 * k), cn]))
        for i in range(len(self.sizes.channels)):
            d = w[f"decoder.{i}.weight"]
            even = torch.stack([d[:, :, 1], torch.zeros_like(d[:, :, 1])], -1)
            odd = torch.stack([d[:, :, 2], d[:, :, 0]], -1)
            self.register_buffer(f"pair_{i}", torch.cat([even, odd])[:, :, None])
        edges = erb_edges(1, LOW_BINS + 1, LOW_BANDS)
        self.register_buffer("means", band_means(edges))
        self.register_buffer("envelope", band_interpolation(edges))

    def w(self, name: str) -> Tensor:
        return getattr(self, name.replace(".", "_"))

    def linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self.w(name + ".weight"), self.w(name + ".bias"))

    def zero_state(self) -> list[Tensor]:
        s = self.sizes
        channels = (2, *s.channels)
        frames = [torch.zeros(1, channels[i], s.time_kernel - 1, LOW_BINS >> i) for i in range(len(s.channels))]
        memories = [torch.zeros(s.positions, s.hidden) for _ in range(s.blocks)]
        return frames + memories + [torch.zeros(1, hidden) for hidden in (s.low_hidden, s.full_hidden) if hidden]

    def ghost_gru(self, x: Tensor, state: Tensor, name: str) -> Tensor:
        """(rows, inputs), (rows, hidden) -> the new state."""
        m = self.w(name + ".cn").shape[0]
        gx = F.linear(x, self.w(name + ".w"), self.w(name + ".b"))
        a = F.linear(state, self.w(name + ".u"))
        r, z = torch.sigmoid(gx[:, : 2 * m] + a[:, : 2 * m]).split(m, 1)
        n = torch.tanh(gx[:, 2 * m :] + r * (a[:, 2 * m :] + self.w(name + ".cn")))
        h = n + z * (state[:, :m] - n)
        if self.sizes.ratio == 1:
            return h
        return torch.cat([h, torch.tanh(F.linear(h, self.w(name + ".g"), self.w(name + ".bg")))], 1)

    def forward(self, low: Tensor, bands: Tensor, *state: Tensor):
        s, layers, new = self.sizes, len(self.sizes.channels), []
        x, skips = low, []
        for i in range(layers):
            frames = torch.cat([state[i], x], 2)
            new.append(frames[:, :, 1:])
            x = F.conv2d(F.pad(frames, (1, 0)), self.w(f"encoder.{i}.weight"), self.w(f"encoder.{i}.bias"), stride=(1, 2))
            x = F.prelu(x, self.w(f"encoder.{i}.slope"))
            skips.append(x)
        y = torch.cat([x[0, :, 0].t(), self.linear(bands, "high_in")]) + self.w("position")  # (F, C)
        for i in range(s.blocks):
            y = y + self.linear(self.mix[i](y)[0], f"mix.{i}.linear")
            h = self.ghost_gru(y, state[layers + i], f"memory.{i}.gru")
            new.append(h)
            y = y + self.linear(h, f"memory.{i}.linear")
            if i == 0 and s.full_hidden:
                energy = low[0, :, 0].square().sum(0) @ self.means
                log = torch.log(energy + FullBandMemory.ENERGY_FLOOR) / math.log(10) + 2
                heard = torch.cat([F.linear(y, self.w("full_memory.hear.weight")).flatten(), log, bands.flatten()])[None]
                full = self.ghost_gru(heard, state[-1], "full_memory.gru")
                logits = self.linear(full, "full_memory.gains").view(s.heads, -1)
                told = F.linear(full, self.w("full_memory.tell.weight")).view(-1, HEARD)
                y = y + self.linear(told, "full_memory.spread")
        lowest = None
        if s.low_hidden:
            heard = torch.cat([y[: s.lowest_positions].flatten(), low[0, :, 0, :LOWEST_BINS].flatten()])[None]
            h = self.ghost_gru(heard, state[layers + s.blocks], "low_memory.gru")
            new.append(h)
            lowest = F.linear(h, self.w("low_memory.linear.weight")).view(LOWEST_BINS, -1).t()
        if s.full_hidden:
            new.append(full)
        high = self.linear(y[s.low_positions :], "high_out").view(s.high_positions, s.heads, -1).transpose(0, 1)
        high = high.reshape(s.heads, HIGH_BANDS)
        if s.full_hidden:
            high = high + logits[:, LOW_BANDS:]
        gains = torch.sigmoid(high).flatten()
        x = y[: s.low_positions].t()[None, :, None]
        for i in range(layers):
            x = F.conv2d(F.pad(x + skips[-1 - i], (0, 1)), self.w(f"pair_{i}"))
            outputs, positions = x.shape[1] // 2, x.shape[3]
            x = x.view(2, outputs, positions).permute(1, 2, 0).reshape(1, outputs, 1, 2 * positions)
            x = x + self.w(f"decoder.{i}.bias")[:, None, None]
            if i + 1 < layers:
                x = F.prelu(x, self.w(f"decoder.{i}.slope"))
        if lowest is not None:
            x = x + F.pad(lowest, (0, LOW_BINS - LOWEST_BINS))[None, :, None]
        real, imag = x[0, : s.coefficients, 0], x[0, s.coefficients :, 0]
        size = (real * real + imag * imag + 1e-12).sqrt()
        scale = torch.tanh(size) / size
        if s.full_hidden:
            spread = torch.sigmoid(logits[:, :LOW_BANDS]) @ self.envelope
            scale = (scale.view(s.heads, s.taps, LOW_BINS) * spread[:, None]).view(-1, LOW_BINS)
        return real * scale, imag * scale, gains, *new


def inputs(sizes, frames: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    low = torch.randn(frames, 1, 2, 1, LOW_BINS, generator=generator) * 0.3
    bands = torch.rand(frames, sizes.high_positions, HIGH_BANDS // sizes.high_positions, generator=generator)
    return low, bands


def expected(folded: Folded, low: Tensor, bands: Tensor) -> np.ndarray:
    """(frames, heads (2 taps 160 + 24))"""
    x = torch.complex(low[:, 0, 0, 0], low[:, 0, 1, 0])[None]
    mask, gains = folded(x, bands.reshape(1, len(bands), HIGH_BANDS))
    mask = mask[0].transpose(0, 1)
    return torch.cat([mask.real.flatten(1), mask.imag.flatten(1), gains[0]], 1).numpy()


def measure(name: str, step, state, low, bands, steps: int, want: np.ndarray) -> float:
    """`step(low, bands, state) -> (outputs, state)`; prints and returns the median in microseconds."""
    times = []
    for t in range(steps):
        k = t % len(low)
        begin = time.thread_time_ns()
        got, state = step(low[k], bands[k], state)
        times.append((time.thread_time_ns() - begin) / 1e3)
        if t < len(want):
            error = np.abs(np.concatenate([np.asarray(g).ravel() for g in got]) - want[t]).max()
            assert error < TOLERANCE, f"{name}: frame {t} differs by {error:.1e}"
    return report(name, *np.quantile(times, [0.5, 0.99, 0.999, 1]))


def report(name: str, p50: float, p99: float, p999: float, most: float) -> float:
    print(f"{name:26} {p50:8.1f} {p99:8.1f} {p999:8.1f} {most:8.1f}", flush=True)
    return p50


def cargo(*args: str) -> str:
    run = subprocess.run(["cargo", *args], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return run.stdout


def version_in(lock: Path, package: str) -> str:
    return re.search(rf'name = "{package}"\nversion = "(.+)"', lock.read_text())[1]


def figures(text: str, name: str) -> list[float]:
    """p50, p99, p99.9 and maximum from the line that starts with the name."""
    found = re.search(rf"^{name}\s+([\d. ]+)$", text, re.MULTILINE)
    assert found, f"no line {name!r}"
    return [float(x) for x in found[1].split()[:4]]


@torch.no_grad()
def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--weights", type=Path, default=ROOT / "bundled/live.safetensors")
    p.add_argument("--steps", type=int, default=5000)
    a = p.parse_args()
    torch.set_num_threads(1)
    folded = Folded(a.weights, torch.float32)
    step = Step(folded).eval()
    low, bands = inputs(folded.sizes, 50)
    want = expected(folded, low, bands)
    model = ROOT / "target/wisp.onnx"
    model.parent.mkdir(exist_ok=True)
    warnings.filterwarnings("ignore")  # traces have fixed sizes, as intended here
    state_names = [f"state_{i}" for i in range(len(step.zero_state()))]
    torch.onnx.export(
        step,
        (low[0], bands[0], *step.zero_state()),
        str(model),
        input_names=["low", "bands", *state_names],
        output_names=["real", "imag", "gains", *(f"new_{n}" for n in state_names)],
        opset_version=17,
        dynamo=False,
    )

    print(f"\n{'us per frame, one thread':26} {'p50':>8} {'p99':>8} {'p99.9':>8} {'max':>8}")
    medians = {}
    bench = cargo("bench", "--quiet", "--no-default-features", "--bench", "peers", "--", "--quick")
    medians["Wisp"] = report("Wisp", *figures(bench, "network"))

    session = onnxruntime.SessionOptions()
    session.intra_op_num_threads = session.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), session, providers=["CPUExecutionProvider"])

    def onnx(low, bands, state):
        y = session.run(None, {"low": low, "bands": bands} | dict(zip(state_names, state)))
        return y[:3], y[3:]

    frames = ROOT / "target/wisp-frames.f32"
    sizes = [len(low), low[0].numel(), bands[0].numel(), want.shape[1]]
    parts = [np.array(sizes, np.float32), low.numpy().ravel(), bands.numpy().ravel(), want.ravel()]
    np.concatenate(parts).astype("<f4").tofile(frames)
    manifest = "benches/tract/Cargo.toml"
    program = ["run", "--quiet", "--release", "--manifest-path", manifest, "--target-dir", "target/tract", "--"]
    *quantiles, error = map(float, cargo(*program, str(model), str(frames), str(a.steps)).split())
    name = f"tract {version_in(ROOT / 'benches/tract/Cargo.lock', 'tract-onnx')}"
    assert error < TOLERANCE, f"{name} differs by {error:.1e}"
    medians[name] = report(name, *quantiles)

    name = f"ONNX Runtime {onnxruntime.__version__}"
    zero = [s.numpy() for s in step.zero_state()]
    medians[name] = measure(name, onnx, zero, low.numpy(), bands.numpy(), a.steps, want)

    version = torch.__version__.split("+")[0]
    traced = torch.jit.freeze(torch.jit.trace(step, (low[0], bands[0], *step.zero_state())))
    for name, run in ((f"PyTorch {version}, traced", traced), (f"PyTorch {version}", step)):

        def pytorch(low, bands, state, run=run):
            y = run(low, bands, *state)
            return y[:3], y[3:]

        medians[name] = measure(name, pytorch, step.zero_state(), low, bands, a.steps, want)

    print("\ntimes as long as Wisp: " + ", ".join(f"{k} {v / medians['Wisp']:.1f}" for k, v in medians.items()))


if __name__ == "__main__":
    main()
