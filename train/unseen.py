"""Does the network generalise to unseen noises and voices? Scores for mixtures of trained and held-back recordings.

    python unseen.py --cache CACHE --network ../bundled/studio.safetensors [--items 40]

mixes voices and noises of both splits in all combinations: without rooms, equalisers or other changes, at 0 to 12 dB, six
seconds at 16 kHz; the mixtures are the same for any network. Only voices with an opinion score (column `mos`) of 3.1 to 3.5,
or without one, are used, so that both splits are of equal quality. Standard errors are in brackets: noises differ far more
than networks do, so compare with a denoiser trained on neither split on the same mixtures (`--program COMMAND`, called with
an input and an output WAV file).
"""

import argparse
import functools
import os
import shlex
import subprocess
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile

import judges
from behaviour import pesq_wb
from data import Cache, Mixer, Recipe, active_rms
from evaluate import denoise, si_sdr
from noise import rms

SECONDS, LEVEL, SNR = 6.0, -27.0, (0.0, 12.0)
MOS = (3.1, 3.5)
SPLITS = ("train", "valid")
PLAIN = Recipe(seconds=SECONDS, p_speed=0, p_turns=0, p_babble=0, p_synthetic=0, p_altered=0)


class Alike(Cache):
    """Only voices of about the same quality, drawn with equal weight."""

    def __init__(self, folder: str, split: str):
        super().__init__(folder, split)
        groups, within, _ = self._ids["speech", judges.RATE]
        mos = [np.mean([item.get("mos", 0) for item in group]) for group in groups]
        seconds = [sum(item["at"][str(judges.RATE)][1] for item in group) for group in groups]
        weight = np.sqrt(seconds) * [m == 0 or MOS[0] <= m <= MOS[1] for m in mos]
        if not weight.any():
            raise SystemExit(f"{folder}: no voice of {split} has an opinion score of {MOS[0]} to {MOS[1]}")
        self._ids["speech", judges.RATE] = groups, within, np.cumsum(weight) / weight.sum()


@functools.cache
def mixers(cache: str, splits: tuple[str, str]) -> tuple[Mixer, Mixer]:
    """Mixers for the voices and for the noises."""
    return Mixer(Alike(cache, splits[0]), PLAIN), Mixer(Cache(cache, splits[1]), PLAIN)


def mixture(voices: Mixer, noises: Mixer, i: int) -> tuple[np.ndarray, np.ndarray]:
    """-> noisy, clean."""
    n = int(SECONDS * judges.RATE)
    # Separate generators, so that the voice is the same whichever noise it is mixed with.
    voice = voices.voice(np.random.default_rng([1, i]), judges.RATE, n)[0]
    noise = noises.recorded_noise(np.random.default_rng([2, i]), judges.RATE, n)
    level, snr = active_rms(voice, judges.RATE), np.random.default_rng([3, i]).uniform(*SNR)
    gain = 10 ** (LEVEL / 20) / max(level, 1e-9)
    noise = noise / rms(noise) * level * 10 ** (-snr / 20)
    return (gain * (voice + noise)).astype(np.float32), (gain * voice).astype(np.float32)


def through(program: str, x: np.ndarray) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "in.wav"), Path(folder, "out.wav")
        soundfile.write(before, x, judges.RATE, subtype="FLOAT")
        subprocess.run([*shlex.split(program), str(before), str(after)], check=True, stdout=subprocess.DEVNULL)
        y, rate = soundfile.read(after)
    if rate != judges.RATE or y.shape != x.shape:
        raise SystemExit(f"{program}: {y.shape} at {rate} Hz of {x.shape} at {judges.RATE} Hz")
    return y


def row(cache: str, splits: tuple[str, str], i: int, network: str | None, program: str | None, asked: judges.Judges) -> dict[str, float]:
    x, clean = mixture(*mixers(cache, splits), i)
    y = through(program, x) if program else denoise(network, x, judges.RATE)[: len(x)]
    found = {}
    for of, signal in (("in", x), ("out", y)):
        made = {"PESQ-WB": pesq_wb(clean, signal), "SI-SDR": si_sdr(clean, signal)} | asked(clean, x, signal)
        found |= {f"{k} {of}": v for k, v in made.items() if not k.startswith(("noise left", "voice lost"))}
    return found


def main(argv: list[str] | None = None) -> dict[tuple[str, str], dict[str, float]]:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cache", required=True)
    what = p.add_mutually_exclusive_group(required=True)
    what.add_argument("--network", help="weights or checkpoint")
    what.add_argument("--program", metavar="COMMAND", help="another denoiser")
    p.add_argument("--items", type=int, default=40, help="of each combination")
    p.add_argument("--jobs", type=int, default=os.cpu_count())
    p.add_argument("--judges", nargs="+", default=["all"], choices=["all", "none", *judges.NAMES], help="default: all available")
    p.add_argument("--dnsmos", metavar="DIR", help=f"folder of {' and '.join(judges.MODELS)}; default: $DNSMOS_DIR")
    a = p.parse_args(argv)
    asked, lacking = judges.find(a.judges, a.dnsmos)
    for line in lacking:
        print(line, flush=True)
    means = {}
    with ProcessPoolExecutor(a.jobs) as pool:
        for splits in ((v, n) for v in SPLITS for n in SPLITS):
            rows = list(pool.map(row, *zip(*((a.cache, splits, i, a.network, a.program, asked) for i in range(a.items)))))
            found = {k: np.array([r[k] for r in rows], float) for k in rows[0]}
            means[splits] = {k: float(np.nanmean(v)) for k, v in found.items()}
            error = {k: np.nanstd(v) / max(np.sqrt(np.isfinite(v).sum()), 1) for k, v in found.items()}
            said = "  ".join(f"{k} {v:.3f} ({error[k]:.3f})" for k, v in means[splits].items())
            print(f"voices of {splits[0]}, noises of {splits[1]}: {said}", flush=True)
    return means


if __name__ == "__main__":
    main()
