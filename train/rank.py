"""Rank candidate loss terms by how well they agree with judges, over the outputs of several systems. Nothing is trained.

    python rank.py SET [SET ...] --network now=../bundled/live.safetensors --network now@24 --network old=old.safetensors \\
        --enhanced other=FOLDER --dnsmos DIR --cache scores [--every 2] [--json rank.json]

Each SET holds pairs in the layout of `evaluate.py`. The systems are the noisy input; networks, NAME=FILE, and NAME@DB for the same
network with Reduction at that many dB; and files cleaned by something else, NAME=DIR, in DIR/NAME.wav or, with several sets,
DIR/SET/NAME.wav. Every output gets a score from judges of two kinds that the loss does not include, DistillMOS and DNSMOS (SIG and
OVRL, of 9.01 s; shorter files are repeated), from PESQ-WB, which the loss does include, and a value for each term. --cache stores
outputs and scores by content, so a second run with other terms or one more system is quick.

Agreement is measured within pairs, because a term earns nothing by knowing which recordings are hard:

    r      correlation between the judge's score and minus the logarithm of the term, after subtracting each pair's means:
           1 is perfect, 0 means no relation, below 0 the term prefers what sounds worse
    order  of all pairs of outputs of one recording whose scores differ by more than 0.05, the share that the term orders the same way

The columns "networks" leave out outputs with a Reduction, where noise masks the mistakes. Rows are sorted by the mean "order" there
of DistillMOS and of SIG and OVRL. All terms use the band up to 8 kHz, and smaller is better:

    loss: ...    the parts of loss.py, with the voice at an RMS of .1
    log: ...     errors of log energies in bands 1 or 3 ERB wide, over 20 or 64 ms, with a floor 60 dB below the voice: L1, L2, L4 (large
                 errors); left and cut (one-sided, squared); across (squared difference between neighbouring bands' errors);
                 time (squared difference between consecutive frames' errors)
    mel: ...     L2 in 64 mel bands weighted by loudness, like Loud-loss (arXiv 2511.05945) but with the A curve of IEC 61672
    gain: time   squared frame-to-frame change of the gain in bands one ERB wide: how much it fluctuates
    judges: ...  the figures of judges.py that need no model: left, cut, change, and the means over bands of noise left and voice lost
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
    """Where an output comes from: `path` is None for the input, else a weights file or a folder of cleaned files."""

    name: str
    path: Path | None = None
    reduction: float = math.inf

    @property
    def network(self) -> bool:
        return self.path is not None and self.path.is_file()


def systems(networks: list[str], enhanced: list[str]) -> list[System]:
    """The systems that the options name, the input first; the error names an option that is wrong."""
    found, files = [System("noisy")], {}
    for text in networks:
        name, _, path = text.partition("=")
        base, _, db = name.partition("@")
        if path:
            files[base] = Path(path)
        if base not in files or not files[base].is_file():
            raise SystemExit(f"--network {text}: expected NAME=FILE of a weights file, or NAME@DB after it")
        try:
            found.append(System(name, files[base], float(db) if db else math.inf))
        except ValueError:
            raise SystemExit(f"--network {text}: {db!r} is not a number of dB") from None
    for text in enhanced:
        name, _, path = text.partition("=")
        if not path or not Path(path).is_dir():
            raise SystemExit(f"--enhanced {text}: expected NAME=DIR")
        found.append(System(name, Path(path)))
    if len({s.name for s in found}) < len(found):
        raise SystemExit("two systems have the same name")
    return found


# ---- terms ----------------------------------------------------------------------------------------------------------


def _spectrum(x: np.ndarray, size: int) -> np.ndarray:
    """(frames, size / 2 + 1) powers of frames that overlap by half; a tone has a quarter of its squared amplitude."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    return np.abs(np.fft.rfft(np.lib.stride_tricks.sliding_window_view(x, size)[:: size // 2] * window) * 2 / size) ** 2


def _means(band: np.ndarray) -> np.ndarray:
    """(bins, bands): the mean over each band's bins. `band` is the band of each bin; empty bands are dropped."""
    m = np.eye(band.max() + 1)[band]
    m = m[:, m.sum(0) > 0]
    return m / m.sum(0)


@functools.cache
def _erb_means(size: int, width: float) -> np.ndarray:
    f = np.arange(size // 2 + 1) * METRIC_RATE / size
    return _means(np.floor(21.4 * np.log10(1 + 0.00437 * f) / width).astype(int))


@functools.cache
def _mel_means(size: int, bands: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Means over mel bands, and a weight per band: the amplitude of the A curve (IEC 61672), scaled to a mean of 1."""
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
    """All terms, for signals of the same length at 16 kHz. Distances are returned as log10, values in dB unchanged."""
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
    """A cache of arrays and figures under keys that hash what they were made from. Without a folder it caches nothing."""

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
        made |= judges.dnsmos(np.resize(y, int(judges.SECONDS * METRIC_RATE)), folder)  # one window: more would take most of the time
    return made | {"PESQ-WB": pesq_wb(clean, y)}


def score(clean: Path, noisy: Path, made_by: list[tuple[System, Path | None]], folder: str | None, kept: Kept) -> list[tuple[dict, dict]]:
    """Judges' scores and terms for each system. `made_by` gives the cleaned file where a system has one."""
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
    """Scores and terms, (pairs, systems) each -> r and order as above. Pairs with a NaN are left out; the result is NaN where
    nothing differs."""
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
    """`rows[pair][system]` is (scores, terms); `reduced` marks systems with a Reduction -> one row per term, best first."""
    asked = [j for j in JUDGES if j in rows[0][0][0]]
    by_judge = {j: np.array([[said[j] for said, _ in row] for row in rows], float) for j in asked}
    alone = ~np.array(reduced)
    made = []
    for name in rows[0][0][1]:
        term = np.array([[t[name] for _, t in row] for row in rows], float)
        line: dict = {"term": name}
        for j in asked:
            both = agreement(by_judge[j], term) + agreement(by_judge[j][:, alone], term[:, alone])
            line[j] = dict(zip(("r", "order", "r networks", "order networks"), both))
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
    p.add_argument("--cache", type=Path, metavar="DIR", help="store outputs and scores here")
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
        p.error("nothing to rank: give at least two systems besides the input (--network, --enhanced)")
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
