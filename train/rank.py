"""Which terms could a loss have that go with what judges say? Ranks candidates over the outputs of several systems; trains nothing.

    python rank.py SET [SET ...] --network now=../bundled/wisp.safetensors --network now@24 --network old=old.safetensors \\
        --enhanced other=FOLDER --dnsmos DIR --cache scores [--every 2] [--json rank.json]

Each SET holds pairs as `evaluate.py` takes them. Systems: the noisy input; networks, NAME=FILE, and NAME@DB, that one with
Reduction at so many dB; cleaned files, NAME=DIR, DIR/NAME.wav or, where there are several sets, DIR/SET/NAME.wav. Every output is
scored by judges of two kinds that no loss follows, DistillMOS and DNSMOS (SIG, OVRL; 9.01 s, of short files repeated), by PESQ-WB, which it does follow, and by each
term. --cache keeps outputs and scores, by content: the next run with other terms or one system more is quick.

How a term and a judge agree, pairs apart (what makes one recording harder than another is no merit of a term):

    r      correlation, each pair's own means taken out, of the judge's score with the logarithm of the term, its sign turned:
           1 is perfect, 0 blind, below 0 it prefers what sounds worse
    order  of any two outputs of one recording that the judge sets apart by more than 0.05, the share that the term sets in the same order

"networks": the same without those at a Reduction, which hides with noise what is wrong. Sorted by the mean order of DistillMOS and of
SIG and OVRL there. Terms, all up to 8 kHz, smaller is better:

    loss: ...    loss.py's own, with the voice at an RMS of .1
    log: ...     errors of the levels of bands 1 or 3 ERB wide over 20 or 64 ms, floor 60 dB below a voice: L1, L2, L4 (large errors),
                 left and cut (one side, squared), across (neighbouring bands' errors, their squared difference), time (frames', likewise)
    mel: ...     the same of 64 mel bands, each weighted as it is loud: like Loud-loss (arXiv 2511.05945), its curve IEC 61672's A here
    gain: time   the square of the change, frame by frame, of output over input in bands an ERB wide: how much a gain flutters
    judges: ...  judges.py's figures without a model: left, cut, change, and noise left and voice lost, means over bands
"""

import argparse
import functools
import hashlib
import itertools
import json
import math
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

import judges
from behaviour import pesq_wb
from data import active_rms
from defaults import Setting, markdown
from evaluate import METRIC_RATE, denoise, pairs, partner, read, resample
from loss import Loss

APART = 0.05  # a judge's difference below this is none
FLOOR = 1e-8  # of a band's power, with the voice at .1
JUDGES = ("DistillMOS", "SIG", "OVRL", "PESQ-WB")


class System(NamedTuple):
    """An output: `path` is None for the input, a weights' file, or a folder of cleaned files."""

    name: str
    path: Path | None = None
    reduction: float = math.inf

    @property
    def network(self) -> bool:
        return self.path is not None and self.path.is_file()


def systems(networks: list[str], enhanced: list[str]) -> list[System]:
    """Of the command line's texts, the input first; an error says which does not parse."""
    found, files = [System("noisy")], {}
    for text in networks:
        name, _, path = text.partition("=")
        base, _, db = name.partition("@")
        if path:
            files[base] = Path(path)
        if base not in files or not files[base].is_file():
            raise SystemExit(f"--network {text}: no weights' file; NAME=FILE, and then NAME@DB")
        try:
            found.append(System(name, files[base], float(db) if db else math.inf))
        except ValueError:
            raise SystemExit(f"--network {text}: {db!r} is no number of dB") from None
    for text in enhanced:
        name, _, path = text.partition("=")
        if not path or not Path(path).is_dir():
            raise SystemExit(f"--enhanced {text}: expected NAME=DIR")
        found.append(System(name, Path(path)))
    if len({s.name for s in found}) < len(found):
        raise SystemExit("two systems of one name")
    return found


# ---- terms ----------------------------------------------------------------------------------------------------------


def _spectrum(x: np.ndarray, size: int) -> np.ndarray:
    """(frames, size / 2 + 1) powers, half overlapped; a tone has a quarter of its squared amplitude."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    return np.abs(np.fft.rfft(np.lib.stride_tricks.sliding_window_view(x, size)[:: size // 2] * window) * 2 / size) ** 2


def _means(band: np.ndarray) -> np.ndarray:
    """(bins, bands) of each bin's band; bands without a bin are left out."""
    m = np.eye(band.max() + 1)[band]
    m = m[:, m.sum(0) > 0]
    return m / m.sum(0)


@functools.cache
def _erb_means(size: int, width: float) -> np.ndarray:
    f = np.arange(size // 2 + 1) * METRIC_RATE / size
    return _means(np.floor(21.4 * np.log10(1 + 0.00437 * f) / width).astype(int))


@functools.cache
def _mel_means(size: int, bands: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Means over mel bands, and each band's weight: A-weighting (IEC 61672) as an amplitude, 1 on average."""
    f = np.arange(size // 2 + 1) * METRIC_RATE / size
    mel = lambda hz: 2595 * np.log10(1 + hz / 700)  # noqa: E731
    m = _means(np.minimum(mel(f) / mel(METRIC_RATE / 2) * bands, bands - 1).astype(int))
    f2 = (f @ m) ** 2
    a = 12194**2 * f2**2 / ((f2 + 20.6**2) * np.sqrt((f2 + 107.7**2) * (f2 + 737.9**2)) * (f2 + 12194**2))
    return m, a / a.mean()


@functools.cache
def _loss() -> Loss:
    return Loss(pesq=1, stoi=1, residue=1)


def terms(clean: np.ndarray, noisy: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Of signals of one length at 16 kHz. Distances are logarithms already, what is in dB is not."""
    scale = 0.1 / max(active_rms(clean, METRIC_RATE), 1e-9)
    c, x, e = (v * scale for v in (clean, noisy, y))
    with torch.no_grad():
        tensors = (torch.from_numpy(v.astype(np.float32))[None] for v in (e, c, x - c))
        own = _loss().compare(*tensors, torch.tensor([METRIC_RATE / 2.0]))
    made = {f"loss: {k}": float(v) for k, v in own.items()}
    for size in (320, 1024):
        spectra = [_spectrum(v, size) for v in (c, x, e)]
        for width in (1, 3):
            means = _erb_means(size, width)
            of_clean, of_noisy, of_y = (np.log10(s @ means + FLOOR) for s in spectra)
            d, what = of_y - of_clean, f"{width} ERB, {size // 16} ms"
            made |= {
                f"log: L1, {what}": np.abs(d).mean(),
                f"log: L2, {what}": (d**2).mean(),
                f"log: L4, {what}": (d**4).mean(),
                f"log: left, {what}": (np.maximum(d, 0) ** 2).mean(),
                f"log: cut, {what}": (np.maximum(-d, 0) ** 2).mean(),
                f"log: across, {what}": (np.diff(d, axis=1) ** 2).mean(),
                f"log: time, {what}": (np.diff(d, axis=0) ** 2).mean(),
            }
            if (size, width) == (320, 1):
                made["gain: time"] = (np.diff(of_y - of_noisy, axis=0) ** 2).mean()
        means, loud = _mel_means(size)
        of_clean, of_y = (np.log10(s @ means + FLOOR) for s in (spectra[0], spectra[2]))
        made[f"mel: L2, {size // 16} ms"] = ((of_y - of_clean) ** 2 * loud).mean()
    made = {k: v if k == "loss: sdr" else float(np.log10(v + 1e-6)) for k, v in made.items()}
    figures = judges.residue(clean, noisy, y)
    made |= {f"judges: {k}": figures[k] for k in ("left", "cut", "change")}
    for name, sign in (("noise left", 1), ("voice lost", -1)):
        known = [v for k, v in figures.items() if k.startswith(name) and not math.isnan(v)]
        made[f"judges: {name}"] = sign * float(np.mean(known)) if known else math.nan
    return made


# ---- outputs and scores ---------------------------------------------------------------------------------------------


def digest(*parts: bytes) -> str:
    h = hashlib.sha256()
    for p in parts:
        h.update(len(p).to_bytes(8, "little") + p)
    return h.hexdigest()[:32]


class Kept:
    """Arrays and figures by what they were made of; without a folder nothing is kept."""

    def __init__(self, folder: Path | None):
        self.folder = folder
        if folder:
            folder.mkdir(parents=True, exist_ok=True)

    def _write(self, path: Path, write) -> None:
        part = path.with_suffix(f".{os.getpid()}.part")
        with open(part, "wb") as f:
            write(f)
        part.replace(path)

    def array(self, key: str, make) -> np.ndarray:
        if not self.folder:
            return make()
        path = self.folder / f"{key}.npy"
        if not path.exists():
            made = make().astype(np.float32)
            self._write(path, lambda f: np.save(f, made))
        return np.load(path).astype(np.float64)

    def figures(self, key: str, make) -> dict[str, float]:
        if not self.folder:
            return make()
        path = self.folder / f"{key}.json"
        if not path.exists():
            text = json.dumps(make())
            self._write(path, lambda f: f.write(text.encode()))
        return json.loads(path.read_text())


def opinions(clean: np.ndarray, y: np.ndarray, folder: str | None) -> dict[str, float]:
    made = {"DistillMOS": judges.distillmos(y)}
    if folder:
        made |= judges.dnsmos(np.resize(y, int(judges.SECONDS * METRIC_RATE)), folder)  # a short file's repetitions would cost most
    return made | {"PESQ-WB": pesq_wb(clean, y)}


def score(clean: Path, noisy: Path, made_by: list[tuple[System, Path | None]], folder: str | None, kept: Kept) -> list[tuple[dict, dict]]:
    """Of each system, with the cleaned file where it has one: what the judges say, and the terms."""
    torch.set_num_threads(1)
    (c, rate), (x, _) = read(clean), read(noisy)
    n = min(len(c), len(x))
    c16, x16 = (resample(v[:n], rate, METRIC_RATE) for v in (c, x))
    rows = []
    for system, path in made_by:
        if path:
            y, other = read(path)
            if other != rate:
                raise SystemExit(f"{path}: {other} Hz, expected {rate} Hz as in {clean}")
            y16 = resample(y, rate, METRIC_RATE)
        elif system.network:
            key = digest(system.path.read_bytes(), x.tobytes(), str(rate).encode())
            y16 = kept.array(key, lambda: resample(denoise(str(system.path), x, rate), rate, METRIC_RATE))
            m = min(len(y16), len(x16))
            y16 = Setting(system.reduction).hear(x16[:m], y16[:m])
        else:
            y16 = x16
        m = min(len(y16), len(c16))
        key = digest(c16[:m].tobytes(), y16[:m].tobytes(), (folder or "").encode())
        said = kept.figures(key, lambda: opinions(c16[:m], y16[:m], folder))
        rows.append((said, terms(c16[:m], x16[:m], y16[:m])))
    return rows


# ---- agreement ------------------------------------------------------------------------------------------------------


def agreement(said: np.ndarray, term: np.ndarray) -> tuple[float, float]:
    """(pairs, systems) each -> r and order of the text above; pairs with anything unknown are left out; NaN where nothing is told apart."""
    whole = np.isfinite(said).all(1) & np.isfinite(term).all(1)
    said, term = said[whole], -term[whole]
    a, b = (v - v.mean(1, keepdims=True) for v in (said, term))
    size = math.sqrt((a**2).sum() * (b**2).sum())
    i, j = np.triu_indices(said.shape[1], 1)
    apart = said[:, i] - said[:, j]
    same = apart * (term[:, i] - term[:, j]) > 0
    counts = np.abs(apart) > APART
    return float((a * b).sum() / size) if size else math.nan, float(same[counts].mean()) if counts.any() else math.nan


def ranking(names: list[str], reduced: list[bool], rows: list[list[tuple[dict, dict]]]) -> list[dict]:
    """`rows`: of each pair, of each system, its scores and terms -> one row per term, best first."""
    asked = [j for j in JUDGES if j in rows[0][0][0]]
    by_judge = {j: np.array([[said[j] for said, _ in row] for row in rows], float) for j in asked}
    alone = ~np.array(reduced)
    made = []
    for name in rows[0][0][1]:
        term = np.array([[t[name] for _, t in row] for row in rows], float)
        line: dict = {"term": name}
        for j in asked:
            line[j] = dict(zip(("r", "order", "r networks", "order networks"), agreement(by_judge[j], term) + agreement(by_judge[j][:, alone], term[:, alone])))
        kinds = [line["DistillMOS"]["order networks"]]
        if "OVRL" in line:
            kinds.append((line["SIG"]["order networks"] + line["OVRL"]["order networks"]) / 2)
        made.append(line | {"mean": sum(kinds) / len(kinds)})
    return sorted(made, key=lambda r: -r["mean"])


def tables(names: list[str], rows: list[list[tuple[dict, dict]]], ranked: list[dict]) -> str:
    asked = [j for j in JUDGES if j in ranked[0]]
    means = [[name, *(f"{np.mean([row[k][0][j] for row in rows]):.2f}" for j in asked)] for k, name in enumerate(names)]
    head = ["term", *itertools.chain.from_iterable((f"{j}: r, order", "networks") for j in asked), "mean"]
    cell = lambda v, group: f"{v['r' + group]:.2f}, {v['order' + group]:.2f}"  # noqa: E731
    body = [[r["term"], *itertools.chain.from_iterable((cell(r[j], ""), cell(r[j], " networks")) for j in asked), f"{r['mean']:.3f}"] for r in ranked]
    return markdown(["system", *asked], means) + "\n\n" + markdown(head, body)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("sets", type=Path, nargs="+", metavar="SET")
    p.add_argument("--network", action="append", default=[], metavar="NAME=FILE | NAME@DB", help="checkpoint (.pt) or weights (.safetensors)")
    p.add_argument("--enhanced", action="append", default=[], metavar="NAME=DIR", help="cleaned files")
    p.add_argument("--every", type=int, default=1, metavar="N", help="every Nth pair")
    p.add_argument("--dnsmos", metavar="DIR", help=f"folder of {' and '.join(judges.MODELS)}; default: $DNSMOS_DIR; without it DistillMOS alone")
    p.add_argument("--cache", type=Path, metavar="DIR", help="keep outputs and scores here")
    p.add_argument("--jobs", type=int, default=1)
    p.add_argument("--json", type=Path)
    a = p.parse_args()
    asked, lacking = judges.find(["all"], a.dnsmos)
    for line in lacking:
        print(line, flush=True)
    if not asked.distillmos:
        raise SystemExit(1)
    made_by = systems(a.network, a.enhanced)
    if len(made_by) < 3:
        p.error("nothing to rank: give two systems at least beside the input, by --network or --enhanced")
    kept, jobs = Kept(a.cache), []
    for folder in a.sets:
        for noisy, clean in pairs(folder)[:: a.every]:
            where = lambda s: s.path / folder.resolve().name if len(a.sets) > 1 else s.path  # noqa: E731
            files = [(s, partner(where(s), noisy.stem) if s.path and not s.network else None) for s in made_by]
            jobs.append((clean, noisy, files, asked.dnsmos, kept))
    with ProcessPoolExecutor(a.jobs) as pool:
        done = [pool.submit(score, *job) for job in jobs]
        rows = []
        for k, d in enumerate(done):
            rows.append(d.result())
            print(f"{k + 1} of {len(done)}", end="\r", flush=True)
    names = [s.name for s in made_by]
    ranked = ranking(names, [not math.isinf(s.reduction) for s in made_by], rows)
    print(f"{len(rows)} pairs\n\n{tables(names, rows, ranked)}")
    if a.json:
        a.json.write_text(json.dumps(dict(systems=names, pairs=len(rows), terms=ranked), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
