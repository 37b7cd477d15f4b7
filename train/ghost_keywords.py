"""The other task of GhostRNN (Zhou et al., Interspeech 2023, arXiv 2411.14489): keyword spotting with GRU and GhostGRU.

    python ghost_keywords.py --out runs/keywords --styles package/voices

Twelve words, spoken by synthetic voices (voices.py; the voices of the test set, and blends of those, are not in training),
in noise at 0 to 20 dB; log-mel features, one recurrence, and a linear layer on its largest states. Variants differ in the
recurrence alone: the same clips, noises and order for each seed. Makes the words, trains, scores, and writes the block
"keywords" of ../docs/ghost-study.md. What is there already is kept, so a stopped run goes on.
"""

import argparse
import copy
import csv
import functools
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import voices
from data import active_rms, rms
from noise import synthetic_noise
from card import replace_block
from ghost_study import DOCS, SEEDS, weights
from model import GhostGru

WORDS = ("up", "down", "left", "right", "yes", "no", "on", "off", "stop", "go", "louder", "quieter")
RATE = 16000
SECONDS = 1.0
WINDOW, HOP, SIZE = 400, 160, 512  # samples: 25 ms every 10 ms
MELS = 40
SNRS = (0, 5, 10, 15, 20)  # dB, of the test; training draws evenly between the first and the last
BATCH = 64  # words
SPEEDS = (0.9, 1.0, 1.1)  # of training clips, pitch and all


# ---- words in noise -------------------------------------------------------------------------------------------------


@functools.cache
def mel_matrix() -> Tensor:
    """(257, 40): triangles equally far apart on the mel scale (O'Shaughnessy 1987), 20 Hz to 7.6 kHz, each of sum one."""
    mel = lambda f: 2595 * np.log10(1 + f / 700)  # noqa: E731
    edges = 700 * (10 ** (np.linspace(mel(20), mel(7600), MELS + 2) / 2595) - 1)
    f = np.fft.rfftfreq(SIZE, 1 / RATE)[:, None]
    rise, fall = (f - edges[:-2]) / (edges[1:-1] - edges[:-2]), (edges[2:] - f) / (edges[2:] - edges[1:-1])
    matrix = np.maximum(np.minimum(rise, fall), 0)
    return torch.from_numpy((matrix / matrix.sum(0)).astype(np.float32))


def features(x: Tensor) -> Tensor:
    """(B, samples) -> (B, frames, 40): logarithms of mel energies, about -2 to 2."""
    frames = x.unfold(-1, WINDOW, HOP) * torch.hann_window(WINDOW)
    spectrum = torch.fft.rfft(frames, SIZE)
    return (torch.log10((spectrum.real.square() + spectrum.imag.square()) @ mel_matrix() + 1e-6) + 1) / 1.5


@dataclass
class Clip:
    sound: np.ndarray
    word: int
    speaker: str


def read_words(folder: Path, words: tuple[str, ...] = WORDS) -> list[Clip]:
    """Every word of the folder's manifest that is one of `words`, at 16 kHz and most SECONDS long."""
    with open(folder / "manifest.csv", newline="") as f:
        rows = [r for r in csv.DictReader(f) if r["text"] in words]
    clips = []
    for r in rows:
        x, rate = soundfile.read(folder / r["path"], dtype="float32")
        x = soxr.resample(x, rate, RATE, quality="HQ")[: int(RATE * SECONDS)]
        clips.append(Clip(x, words.index(r["text"]), r["id"]))
    return clips


def noises(seed: int, count: int) -> list[np.ndarray]:
    """Three seconds each of the trainer's own: coloured, fans, hum, wind, clicks."""
    rng = np.random.default_rng([seed, 7])
    return [synthetic_noise(rng, 3 * RATE, RATE).astype(np.float32) for _ in range(count)]


def mix(rng, clip: np.ndarray, noise: np.ndarray, snr: float) -> np.ndarray:
    """A second with the word somewhere in it, at -40 to -20 dBFS, `snr` dB above the noise."""
    n = int(RATE * SECONDS)
    x = np.zeros(n, np.float32)
    at = int(rng.integers(n - len(clip) + 1))
    x[at : at + len(clip)] = clip
    start = int(rng.integers(len(noise) - n + 1))
    part = noise[start : start + n]
    level = active_rms(clip, RATE)
    y = x + part * (level / rms(part) * 10 ** (-snr / 20))
    return (y * 10 ** (rng.uniform(-40, -20) / 20) / level).astype(np.float32)


class Words:
    """Training batches: a pure function of the seed and the step."""

    def __init__(self, clips: list[Clip], count: int = 150):
        self.clips = clips
        self.played = [[soxr.resample(c.sound, s, 1.0, quality="HQ")[: int(RATE * SECONDS)] for s in SPEEDS] for c in clips]
        self.noises = noises(1, count)

    def batch(self, seed: int, step: int, size: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng([seed, step])
        chosen = rng.integers(len(self.clips), size=size)
        mixed = [
            mix(rng, self.played[c][rng.integers(len(SPEEDS))], self.noises[rng.integers(len(self.noises))], rng.uniform(SNRS[0], SNRS[-1]))
            for c in chosen
        ]
        return features(torch.from_numpy(np.stack(mixed))), torch.tensor([self.clips[c].word for c in chosen])


def test_set(clips: list[Clip], snr: float, repeats: int = 4) -> Tensor:
    """(repeats clips, frames, 40): every clip in noises that training did not have."""
    rng, others = np.random.default_rng([99, snr]), noises(2, 60)
    made = [mix(rng, c.sound, others[rng.integers(len(others))], snr) for _ in range(repeats) for c in clips]
    return features(torch.from_numpy(np.stack(made)))


# ---- networks -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Variant:
    name: str
    hidden: int
    ratio: int

    @property
    def macs(self) -> int:
        """Multiply-adds of the recurrence per frame."""
        m = self.hidden // self.ratio
        return 3 * m * (MELS + self.hidden) + m * (self.hidden - m)


class Spotter(nn.Module):
    """(B, frames, 40) -> (B, words)."""

    def __init__(self, hidden: int, ratio: int, words: int = len(WORDS)):
        super().__init__()
        self.gru = GhostGru(MELS, hidden, ratio)
        self.linear = nn.Linear(hidden, words)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.gru(x[:, :, None], "time")[:, :, 0].amax(1))


@functools.cache
def variants() -> tuple[Variant, ...]:
    half = Variant("GhostGRU-128, ratio 2", 128, 2)
    count = weights(GhostGru(MELS, 128, 2))
    equal = min(range(8, 256), key=lambda h: abs(weights(GhostGru(MELS, h, 1)) - count))
    return Variant("GRU-128", 128, 1), half, Variant("GhostGRU-128, ratio 4", 128, 4), Variant(f"GRU-{equal}", equal, 1)


def fit(variant: Variant, batches: list, seed: int, lr: float = 6e-3) -> Spotter:
    """AdamW, a cosine, the mean of the weights over about the last twentieth of the batches."""
    steps = len(batches)
    torch.manual_seed(seed)
    model = Spotter(variant.hidden, variant.ratio)
    averaged = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=1e-2)
    for step, (x, y) in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1, (step + 1) / 20) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            for mean, p in zip(averaged.parameters(), model.parameters()):
                mean.lerp_(p, max(1 / (step + 1), min(1.0, 20 / steps)))
    return averaged.eval()


@torch.no_grad()
def answers(model: Spotter, sets: dict[int, Tensor]) -> dict[int, list[int]]:
    return {snr: model(x).argmax(1).tolist() for snr, x in sets.items()}


@torch.no_grad()
def frame_times(found: tuple[Variant, ...], frames: int = 2000, turns: int = 15) -> list[float]:
    """Microseconds of the recurrence per frame, one frame after the other on one thread: the least of turns taken in turn."""
    x = torch.randn(1, frames, 1, MELS)
    nets = [GhostGru(MELS, v.hidden, v.ratio).eval() for v in found]
    least = [math.inf] * len(nets)
    for _ in range(turns):
        for i, net in enumerate(nets):
            begin = time.perf_counter()
            net(x, "time")
            least[i] = min(least[i], time.perf_counter() - begin)
    return [t / frames * 1e6 for t in least]


# ---- report ---------------------------------------------------------------------------------------------------------


def accuracies(made: list[int], clips: list[Clip]) -> np.ndarray:
    """(repeats, clips): 1 where the word was found."""
    wanted = np.array([c.word for c in clips])
    return (np.array(made).reshape(-1, len(clips)) == wanted).astype(float)


def report(found: tuple[Variant, ...], right: dict[Variant, np.ndarray], times: list[float], speakers: list[str], steps: int, heard: str) -> str:
    """`right`: (seeds, SNRs, repeats, clips) of 0 and 1 for each variant. The first variant is what the others are compared with."""
    lines = [heard, "", "| | weights, recurrence | all | KiB | MACs per frame | µs per frame |", "|---|---|---|---|---|---|"]
    base = found[0]
    for v, t in zip(found, times):
        gru, whole = weights(GhostGru(MELS, v.hidden, v.ratio)), weights(Spotter(v.hidden, v.ratio))
        less = "" if v == base else f" ({100 * gru / weights(GhostGru(MELS, base.hidden, base.ratio)) - 100:+.0f} %)"
        ratio = "" if v == base else f" ({t / times[0]:.2f})"
        lines.append(f"| {v.name} | {gru:,}{less} | {whole:,} | {4 * whole / 1024:.0f} | {v.macs:,} | {t:.1f}{ratio} |")
    lines += ["", f"Words found, %, after {steps} steps: mean over seeds ± their standard deviation (in brackets each seed)", ""]
    lines += ["| | " + " | ".join(f"{snr} dB" for snr in SNRS) + " | all |", "|---" * (len(SNRS) + 2) + "|"]
    for v in found:
        seeds = 100 * right[v].mean((2, 3))  # (seeds, SNRs)
        cells = [f"{s.mean():.1f} ± {s.std(ddof=1):.1f}" for s in seeds.T]
        whole = seeds.mean(1)
        each = ", ".join(f"{w:.1f}" for w in whole)
        lines.append(f"| {v.name} | " + " | ".join(cells) + f" | {whole.mean():.1f} ± {whole.std(ddof=1):.1f} ({each}) |")
    lines += ["", f"Difference to {base.name}, all SNRs: by seed, and the mean with the 95 % interval over the {len(set(speakers))} speakers of the test:", ""]
    lines += ["| | seeds | mean |", "|---|---|---|"]
    names = np.array(speakers)
    for v in found[1:]:
        step = 100 * (right[v] - right[base])
        each = ", ".join(f"{d:+.1f}" for d in step.mean((1, 2, 3)))
        by_speaker = np.array([step[..., names == s].mean() for s in sorted(set(speakers))])
        half = 1.96 * by_speaker.std(ddof=1) / math.sqrt(len(by_speaker))
        lines.append(f"| {v.name} | {each} | {by_speaker.mean():+.1f} ± {half:.1f} |")
    return "\n".join(lines)


def spoken(a, split: str) -> Path:
    """The words of one split's voices: made by voices.py where they are not there yet."""
    held, takes, seed = {"train": (0.0, a.takes, 1), "test": (1.0, a.test_takes, 2)}[split]
    folder = a.out / f"words-{split}"
    job = voices.Job(seed, str(a.styles.resolve()), ("en",), held, WORDS)
    voices.fill(job, folder, lambda items, _: items >= takes * len(WORDS), a.workers)
    return folder


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, required=True, help="folder of the words and the answers")
    p.add_argument("--styles", type=Path, default=Path("package/voices"), help="the voices of npm's kokoro-js (default %(default)s)")
    p.add_argument("--takes", type=int, default=30, help="training speakers drawn, each of which says all words (default %(default)s)")
    p.add_argument("--test-takes", type=int, default=14, help="speakers of the test (default %(default)s)")
    p.add_argument("--steps", type=int, default=150, help="of 64 words, for each variant and seed (default %(default)s)")
    p.add_argument("--workers", type=int, default=1, help="processes that speak")
    p.add_argument("--document", type=Path, default=DOCS / "ghost-study.md", help="whose block `keywords` is written")
    a = p.parse_args()
    if lack := voices.lacking(["en"]):
        raise SystemExit("first: " + "; ".join(lack))
    torch.set_num_threads(1)
    clips, test = read_words(spoken(a, "train")), read_words(spoken(a, "test"))
    words, sets, right = Words(clips), {snr: test_set(test, snr) for snr in SNRS}, {v: [] for v in variants()}
    for seed in SEEDS:
        batches = []
        for v in variants():
            kept = a.out / f"{v.hidden}-{v.ratio}-{a.steps}-{len(clips)}-{len(test)}-seed{seed}.json"
            if not kept.exists():
                batches = batches or [words.batch(seed, step, BATCH) for step in range(a.steps)]
                kept.write_text(json.dumps(answers(fit(v, batches, seed), sets)))
            made = json.loads(kept.read_text())
            right[v].append([accuracies(made[str(snr)], test) for snr in SNRS])
            print(f"{v.name}, seed {seed}: {100 * np.mean(right[v][-1]):.1f} %", flush=True)
    right = {v: np.array(seeds) for v, seeds in right.items()}
    heard = f"{len(clips)} clips of {len({c.speaker for c in clips})} speakers in training, {len(test)} of {len({c.speaker for c in test})} others in the test, each in {right[variants()[0]].shape[2]} noises at each SNR."
    text = report(variants(), right, frame_times(variants()), [c.speaker for c in test], a.steps, heard)
    replace_block(a.document, "keywords", text)
    print(text)


if __name__ == "__main__":
    main()
