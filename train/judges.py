"""Measures that the loss does not include: predicted listeners' ratings, noise left and voice lost.

    DistillMOS  1 (bad) to 5 (excellent), without a reference: Stahl & Gamper 2025 (arXiv 2502.05356), PyPI distillmos
    SIG, BAK, OVRL  same scale, for the voice, the background and both together, as in ITU-T P.835, without a reference:
                DNSMOS P.835, Reddy et al. 2022 (arXiv 2110.01763)
    P.808       same scale, overall, as in ITU-T P.808: DNSMOS, Reddy et al. 2021 (arXiv 2010.15258)
    left, cut   how many dB energies are above and below those of the clean voice, means over all frames and bands. Bands are one
                ERB wide, over 20 ms every 10 ms, with a floor 68 dB below the voice. Compare "left" at equal "cut"
    change      dB, mean absolute change of that error from one frame to the next: flutter
    noise left  dB relative to the noise, in bins where it is 5 dB above the voice while somebody talks, by band in Hz; lower is better
    voice lost  dB relative to the voice, in bins where it is 8 dB above the noise, by band; 0 is best

The last five compare with the clean signal and the noise (noisy minus clean), up to 8 kHz. All take a mono signal at 16 kHz.
DNSMOS is two files, sig_bak_ovr.onnx and model_v8.onnx from https://github.com/microsoft/DNS-Challenge (folder DNSMOS).
"""

import contextlib
import functools
import io
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

RATE = 16000
NAMES = ("distillmos", "dnsmos", "residue")

SECONDS = 9.01  # length of one DNSMOS input
MELS = 120
MODELS = ("sig_bak_ovr.onnx", "model_v8.onnx")
# Map the networks' outputs to ratings, as in microsoft/DNS-Challenge.
OPINIONS = {
    "SIG": np.poly1d([-0.08397278, 1.22083953, 0.0052439]),
    "BAK": np.poly1d([-0.13166888, 1.60915514, -0.39604546]),
    "OVRL": np.poly1d([-0.06766283, 1.11546468, 0.04602535]),
}

SIZE, STEP = 512, 128  # of a spectrum for `noise left` and `voice lost`
BANDS = ((60, 300), (300, 1000), (1000, 2000), (2000, 4000), (4000, 7500))  # Hz


@dataclass(frozen=True)
class Judges:
    """The measures to compute; `dnsmos` is the folder of its models."""

    distillmos: bool = False
    dnsmos: str | None = None
    residue: bool = False

    def __call__(self, clean: np.ndarray, noisy: np.ndarray, y: np.ndarray) -> dict[str, float]:
        """Scores of a signal at 16 kHz; NaN if there is nothing to measure."""
        n = min(map(len, (clean, noisy, y)))
        made = {}
        if self.distillmos:
            made["DistillMOS"] = distillmos(y[:n])
        if self.dnsmos:
            made |= dnsmos(y[:n], self.dnsmos)
        if self.residue:
            made |= residue(clean[:n], noisy[:n], y[:n])
        return made


def find(wanted: list[str], folder: str | None) -> tuple[Judges, list[str]]:
    """`wanted`: names, "all" (those available) or "none" -> the judges, and why any is left out; an error if a named
    one is not available. `folder`: DNSMOS's models, by default from the environment's DNSMOS_DIR."""
    folder = folder or os.environ.get("DNSMOS_DIR")
    lacks = {"distillmos": "", "dnsmos": "", "residue": ""}
    if not find_spec("distillmos"):
        lacks["distillmos"] = "`pip install distillmos`"
    if not find_spec("onnxruntime"):
        lacks["dnsmos"] = "`pip install onnxruntime`"
    elif not folder:
        lacks["dnsmos"] = f"--dnsmos or DNSMOS_DIR: the folder of {' and '.join(MODELS)} from microsoft/DNS-Challenge"
    elif missing := [m for m in MODELS if not (Path(folder) / m).is_file()]:
        raise SystemExit(f"{folder}: no {' and no '.join(missing)}")
    said = [f"skipping {name}: it needs {lack}" for name, lack in lacks.items() if lack]
    if "none" in wanted:
        return Judges(), []
    if "all" not in wanted:
        for name in wanted:
            if lacks[name]:
                raise SystemExit(f"{name} needs {lacks[name]}")
        said = []
    asked = {name: not lacks[name] and ("all" in wanted or name in wanted) for name in NAMES}
    return Judges(asked["distillmos"], folder if asked["dnsmos"] else None, asked["residue"]), said


@functools.cache
def _distillmos():
    import torch

    # torchaudio refuses to load with a torch built for another CUDA version, even if CUDA is not used.
    cuda, torch.version.cuda = torch.version.cuda, torch.version.cuda if torch.cuda.is_available() else None
    try:
        from distillmos import ConvTransformerSQAModel
    finally:
        torch.version.cuda = cuda
    with contextlib.redirect_stdout(io.StringIO()):  # it prints where its weights are
        return ConvTransformerSQAModel().eval()


def distillmos(x: np.ndarray) -> float:
    """Rating of a signal of any length at 16 kHz; independent of its level."""
    import torch

    with torch.inference_mode():
        return float(_distillmos()(torch.from_numpy(x.astype(np.float32))[None]))


@functools.cache
def _session(path: str):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@functools.cache
def _mel_matrix(bins: int) -> np.ndarray:
    """(bins, MELS): triangles of equal area on Slaney's mel scale, linear to 1 kHz and logarithmic above."""
    step = np.log(6.4) / 27
    top = 15 + np.log(RATE / 2000) / step
    mel = np.linspace(0, top, MELS + 2)
    hz = np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(step * (mel - 15)))
    f = np.arange(bins)[:, None] * RATE / (2 * (bins - 1) + 1)
    rise = (f - hz[:-2]) / (hz[1:-1] - hz[:-2])
    fall = (hz[2:] - f) / (hz[2:] - hz[1:-1])
    return np.maximum(0, np.minimum(rise, fall)) * 2 / (hz[2:] - hz[:-2])


def mel_levels(x: np.ndarray) -> np.ndarray:
    """(frames, MELS) as input to P.808's network: 321 samples every 160, dB below the loudest, 0 dB at 1 and -40 at 0."""
    size = 321
    x = np.pad(x, size // 2)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    power = np.abs(np.fft.rfft(np.lib.stride_tricks.sliding_window_view(x, size)[::160] * window)) ** 2
    level = 10 * np.log10(np.maximum(power @ _mel_matrix(size // 2 + 1), 1e-10))
    return (np.maximum(level - level.max(), -80) + 40) / 40


def dnsmos(x: np.ndarray, folder: str) -> dict[str, float]:
    """SIG, BAK, OVRL and P.808 of a signal at 16 kHz: means over windows of 9.01 s every second; short signals are repeated to fill one.
    Depends on the level."""
    quality, overall = (_session(str(Path(folder) / m)) for m in MODELS)
    whole = int(SECONDS * RATE)
    while len(x) < whole:
        x = np.append(x, x)
    rows = []
    for second in range(max(len(x) // RATE - int(SECONDS), 1)):
        # Rounds like dnsmos_local.py, which skips some seconds.
        part = x[second * RATE : int((second + SECONDS) * RATE)]
        if len(part) < whole:
            continue
        heard = quality.run(None, {"input_1": part[None].astype(np.float32)})[0][0]
        p808 = overall.run(None, {"input_1": mel_levels(part[:-160])[None].astype(np.float32)})[0][0][0]
        rows.append([opinion(v) for opinion, v in zip(OPINIONS.values(), heard)] + [float(p808)])
    return dict(zip([*OPINIONS, "P.808"], np.mean(rows, 0).tolist()))


def _frames(x: np.ndarray, size: int, step: int) -> np.ndarray:
    """Magnitudes over Hann windows."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    return np.abs(np.fft.rfft(np.lib.stride_tricks.sliding_window_view(x, size)[::step] * window))


@functools.cache
def _erb_matrix() -> np.ndarray:
    """(161, bands): means over bins 50 Hz apart in bands one ERB wide (Glasberg & Moore 1990)."""
    band = np.floor(21.4 * np.log10(1 + 0.00437 * np.arange(161) * 50)).astype(int)
    m = np.eye(band.max() + 1)[band]
    m = m[:, m.sum(0) > 0]
    return m / m.sum(0)


def _envelope(x: np.ndarray) -> np.ndarray:
    """(frames, bands) in dB, for a voice RMS of 0.1, with a floor at -80 dB."""
    return 10 * np.log10((_frames(x, 320, 160) / 160) ** 2 @ _erb_matrix() + 1e-8)


def _db(a: np.ndarray, b: np.ndarray | float) -> np.ndarray:
    return 20 * np.log10((a + 1e-7) / (b + 1e-7))


def residue(clean: np.ndarray, noisy: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Noise left and voice lost, for signals of equal length at 16 kHz; NaN in bands with neither."""
    loud = np.abs(clean) > 0.02 * np.abs(clean).max()
    level = np.sqrt((clean[loud] ** 2).mean()) if loud.any() else 1.0
    error = _envelope(0.1 / level * y) - _envelope(0.1 / level * clean)
    made = {
        "left": np.maximum(error, 0).mean(),
        "cut": np.maximum(-error, 0).mean(),
        "change": np.abs(np.diff(error, axis=0)).mean(),
    }
    c, n, e = (_frames(x, SIZE, STEP) for x in (clean, noisy - clean, y))
    energy = (c**2).sum(1, keepdims=True)
    talk, snr = energy > 10**-2.5 * energy.max(), _db(c, n)
    voice = talk & (snr > 8) & (_db(c, c.max()) > -50)
    noise = talk & (snr < -5) & (_db(n, c.max()) > -60)
    f = np.arange(SIZE // 2 + 1) * RATE / SIZE
    for name, where, reference in (("noise left", noise, n), ("voice lost", voice, c)):
        for low, high in BANDS:
            at = where & (f >= low) & (f < high)
            made[f"{name} {low}-{high}"] = _db(e[at], reference[at]).mean() if at.any() else np.nan
    return {k: float(v) for k, v in made.items()}
