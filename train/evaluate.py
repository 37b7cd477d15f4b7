"""Score a denoiser on folders of pairs: SET/noisy/NAME.wav and SET/clean/NAME.wav (or .flac), matched by name.

    python evaluate.py SET [SET ...] --noisy --network ../bundled/live.safetensors --json figures.json
    python evaluate.py SET --binary ../target/release/wisp          the command-line program
    python evaluate.py SET --enhanced other=FOLDER                  files cleaned by another denoiser

The sources can be combined; each gives one report per set. The network (a checkpoint or a weights file)
runs at the file's sample rate. Everything is mixed to mono. PESQ and STOI use a copy at 16 kHz (PESQ-NB: 8 kHz):

    PESQ-WB, PESQ-NB  ITU-T P.862.2 and P.862.1, PyPI pesq       STOI  PyPI pystoi
    SI-SDR   dB, zero mean (Le Roux et al. 2019)                 polarity  sign of the product with the clean signal
    LSD-HF   dB, log-spectral distance 8-20 kHz against the clean signal, at the file's sample rate: over 20 ms frames, the
             root mean square over bins of the level difference, with a floor at -90 dBFS; only if the rate is high enough

The loss includes PESQ, STOI and SI-SDR. The script also prints measures that it does not include (`judges.py`), if available:
DistillMOS; SIG, BAK, OVRL and P.808 from DNSMOS; noise left and voice lost. --judges none is quick.

--clean-in feeds in the clean file instead, to show what happens to clean speech.
"""

import argparse
import functools
import json
import math
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch

import dsp
import judges
from checkpoint import load_network
from weights import Folded

METRIC_RATE = 16000
EXTENSIONS = (".wav", ".flac")


def read(path: Path) -> tuple[np.ndarray, int]:
    x, rate = soundfile.read(path, dtype="float64", always_2d=True)
    return x.mean(1), rate


def resample(x: np.ndarray, rate: int, to: int) -> np.ndarray:
    return soxr.resample(x, rate, to, quality="VHQ") if rate != to else x


def si_sdr(clean: np.ndarray, y: np.ndarray) -> float:
    clean, y = clean - clean.mean(), y - y.mean()
    target = (y @ clean) / max(clean @ clean, 1e-20) * clean
    rest = y - target
    return float(10 * np.log10(max(target @ target, 1e-20) / max(rest @ rest, 1e-20)))


def high_distance(clean: np.ndarray, y: np.ndarray, rate: int) -> float:
    """LSD-HF as described above; NaN at rates that do not reach 20 kHz."""
    if rate < 40000 or rate % 100:
        return math.nan
    level = [10 * torch.log10(dsp.power(dsp.high_bins(dsp.stft(torch.from_numpy(v)[None], rate))) + 1e-9) for v in (clean, y)]
    return float((level[0] - level[1]).square().mean(-1).sqrt().mean())


def scores(clean: np.ndarray, y: np.ndarray, rate: int) -> dict[str, float]:
    """All scores of one pair; NaN if a metric finds no speech."""
    from pesq import NoUtterancesError, pesq
    from pystoi import stoi

    n = min(len(clean), len(y))
    clean, y = clean[:n], y[:n]
    c, e = (resample(v, rate, METRIC_RATE) for v in (clean, y))

    def opinion(at: int, mode: str) -> float:
        try:
            return pesq(at, *(resample(v, METRIC_RATE, at).astype(np.float32) for v in (c, e)), mode)
        except NoUtterancesError:
            return math.nan

    return {
        "PESQ-WB": opinion(16000, "wb"),
        "PESQ-NB": opinion(8000, "nb"),
        "STOI": float(stoi(c, e, METRIC_RATE)),
        "SI-SDR": si_sdr(c, e),
        "LSD-HF": high_distance(clean, y, rate),
        "polarity": -1.0 if c @ e < 0 else 1.0,
    }


@functools.cache
def network(path: str):
    """A checkpoint (.pt) or a weights file (.safetensors)."""
    torch.set_num_threads(1)
    return Folded(path, torch.float32) if path.endswith(".safetensors") else load_network(path)[0]


@torch.no_grad()
def denoise(path: str, x: np.ndarray, rate: int, sensitivity_db: float = 0.0) -> np.ndarray:
    """As if the rate were the nearest multiple of 100 Hz, like the engine."""
    nearest = (rate + 50) // 100 * 100
    return dsp.denoise(network(path), torch.from_numpy(x).float()[None], nearest, sensitivity_db)[0].double().numpy()


def pairs(folder: Path) -> list[tuple[Path, Path]]:
    """(noisy, clean) for each name; an error if a clean file is missing."""
    noisy = sorted(p for p in (folder / "noisy").glob("*") if p.suffix.lower() in EXTENSIONS)
    if not noisy:
        raise SystemExit(f"{folder}/noisy: no {' or '.join(EXTENSIONS)} files")
    return [(p, partner(folder / "clean", p.stem)) for p in noisy]


def partner(folder: Path, stem: str) -> Path:
    for extension in EXTENSIONS:
        if (folder / (stem + extension)).exists():
            return folder / (stem + extension)
    raise SystemExit(f"{folder}: no {stem}.wav or {stem}.flac")


def run_binary(binary: str, files: list[Path], out: Path) -> None:
    done = subprocess.run([binary, *map(str, files), "--out-dir", str(out), "--jobs", "1", "--quiet"], stdout=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit(f"{binary}: exit status {done.returncode}")


def score_file(clean: Path, noisy: Path, source: Path, weights: str | None, asked: judges.Judges) -> tuple[dict, dict]:
    """Scores and judges' ratings."""
    torch.set_num_threads(1)
    (c, rate), (x, _) = read(clean), read(noisy)
    y, other = read(source)
    if other != rate:
        raise SystemExit(f"{source}: {other} Hz, expected {rate} Hz as in {clean}")
    if weights:
        y = denoise(weights, y, rate)
    return scores(c, y, rate), asked(*(resample(v, rate, METRIC_RATE) for v in (c, x, y)))


def summary(mean: dict[str, float | None]) -> str:
    """One line; figures by band are grouped after their name."""
    groups: dict[str, list[str]] = {}
    for k, v in mean.items():
        name, band = re.fullmatch(r"(.*?)( \d+-\d+)?", k).groups()
        if v is not None:
            groups.setdefault(name, []).append(f"{round(v, 1) + 0.0:.1f}" if band else f"{v:.3f}")
    return "  ".join(f"{name} {'/'.join(shown)}" for name, shown in groups.items())


def report(pool, name: str, rows: list[tuple[Path, Path, Path]], weights: str | None, asked: judges.Judges) -> dict:
    """rows: (clean, noisy, signal to score or denoise)."""
    done = [pool.submit(score_file, *row, weights, asked) for row in rows]
    both = {clean.stem: d.result() for (clean, _, _), d in zip(rows, done)}
    by_judges = list(dict.fromkeys(k for _, said in both.values() for k in said))
    files = {stem: own | said for stem, (own, said) in both.items()}
    mean = {}
    for k in next(iter(files.values())):
        values = [f[k] for f in files.values() if not math.isnan(f[k])]
        mean[k] = sum(values) / len(values) if values else None
    print(f"{name}  ({len(files)} pairs)  {summary(mean)}", flush=True)
    files = {stem: {k: None if math.isnan(v) else v for k, v in f.items()} for stem, f in files.items()}
    return {"name": name, "pairs": len(files), "judges": by_judges, "mean": mean, "files": files}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("sets", type=Path, nargs="+", metavar="SET")
    p.add_argument("--noisy", action="store_true", help="the input itself")
    p.add_argument("--network", help="checkpoint (.pt) or weights (.safetensors)")
    p.add_argument("--binary", help="the wisp command")
    p.add_argument("--label", default="Wisp", help="what the reports call --network and --binary (default: Wisp)")
    p.add_argument("--enhanced", action="append", default=[], metavar="NAME=DIR", help="cleaned files; one set only")
    p.add_argument("--clean-in", action="store_true", help="feed the clean files")
    p.add_argument("--judges", nargs="+", default=["all"], choices=["all", "none", *judges.NAMES], help="default: all available")
    p.add_argument("--dnsmos", metavar="DIR", help=f"folder of {' and '.join(judges.MODELS)}; default: $DNSMOS_DIR")
    p.add_argument("--jobs", type=int, default=1)
    p.add_argument("--json", type=Path)
    a = p.parse_args()
    if not (a.noisy or a.network or a.binary or a.enhanced):
        p.error("nothing to score: give --noisy, --network, --binary or --enhanced")
    if a.enhanced and (len(a.sets) > 1 or not all("=" in e for e in a.enhanced)):
        p.error("--enhanced expects NAME=DIR and a single set")
    asked, lacking = judges.find(a.judges, a.dnsmos)
    for line in lacking:
        print(line, flush=True)
    reports = []
    with ProcessPoolExecutor(a.jobs) as pool, tempfile.TemporaryDirectory() as temporary:
        for folder in a.sets:
            found = pairs(folder)
            label = folder.resolve().name + (", clean in" if a.clean_in else "")
            rows = [(clean, noisy, clean if a.clean_in else noisy) for noisy, clean in found]
            if a.noisy:
                reports.append(report(pool, f"{label}: input", rows, None, asked))
            if a.network:
                reports.append(report(pool, f"{label}: {a.label}", rows, a.network, asked))
            if a.binary:
                out = Path(temporary) / str(len(reports))
                run_binary(a.binary, [source for _, _, source in rows], out)
                made = [(clean, noisy, partner(out, source.stem)) for clean, noisy, source in rows]
                reports.append(report(pool, f"{label}: {a.label}", made, None, asked))
            for name, where in (e.split("=", 1) for e in a.enhanced):
                made = [(clean, noisy, partner(Path(where), noisy.stem)) for noisy, clean in found]
                reports.append(report(pool, f"{label}: {name}", made, None, asked))
    if a.json:
        part = a.json.with_name(a.json.name + ".part")
        part.write_text(json.dumps(reports, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        part.replace(a.json)


if __name__ == "__main__":
    sys.exit(main())
