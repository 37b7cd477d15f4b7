"""Scores several settings: the tables from which Reduction's default and the presets are chosen.

    python defaults.py SET [SET ...] --network ../bundled/live.safetensors --dnsmos DIR [--every 4] [--json defaults.json]

Each SET contains pairs as for `evaluate.py`. The clean file and the noise (noisy minus clean) are remixed at each SNR in
--snr (the voice's level without pauses over the noise's RMS, dB) and denoised. Then every setting is scored,
as are the noisy mixture ("off") and the clean file. A setting is REDUCTION or REDUCTION:SENSITIVITY, both in dB, or "full":

    output = noisy - (1 - 10^(-REDUCTION / 20)) removed      as in `Mixer` in src/engine/controls.rs

Tables per figure, by setting and SNR, then the means over all:

    DistillMOS, SIG, BAK, OVRL  ratings 1 to 5 (judges.py); DNSMOS uses 9.01 s and repeats short files
    PESQ-WB  ITU-T P.862.2; included in the loss
    left, cut  dB above and below the clean voice's energies (judges.py)
    pauses   reduction where the clean voice is 40 dB below its level, dB; no measure rates how dead or busy pauses sound
    voice    reduction of the voice itself where it is within 15.9 dB of its level, dB: the part of the output correlated with it
"""

import argparse
import json
import math
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

import judges
from behaviour import MARGIN_DB, db, pesq_wb
from data import active_rms, rms
from evaluate import METRIC_RATE, denoise, pairs, read, resample

PAUSE_DB = 40.0
FRAME = METRIC_RATE // 50
SETTINGS = ["full", "24", "20", "18", "15", "12", "18:-6", "18:-3", "18:3", "18:6"]


class Setting(NamedTuple):
    """Controls in dB; infinity is "Full"."""

    reduction: float
    sensitivity: float = 0.0

    @classmethod
    def of(cls, text: str) -> "Setting":
        reduction, _, sensitivity = text.partition(":")
        try:
            return cls(math.inf if reduction == "full" else float(reduction), float(sensitivity or 0))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r}: expected REDUCTION or REDUCTION:SENSITIVITY") from None

    def __str__(self) -> str:
        reduction = "Full" if math.isinf(self.reduction) else f"{self.reduction:g} dB"
        return reduction + (f", Sensitivity {self.sensitivity:+g}" if self.sensitivity else "")

    def hear(self, noisy: np.ndarray, denoised: np.ndarray) -> np.ndarray:
        """`denoised` at Full."""
        return noisy - (1 - 10 ** (-self.reduction / 20)) * (noisy - denoised)


def mixture(clean: np.ndarray, noisy: np.ndarray, rate: int, snr: float) -> np.ndarray:
    """The same voice and the same noise at another SNR."""
    noise = noisy - clean
    return clean + noise * active_rms(clean, rate) / max(rms(noise), 1e-9) * 10 ** (-snr / 20)


def falls(clean: np.ndarray, noisy: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Reduction of pauses and of the voice in dB; NaN if there are none."""
    c, x, y = (v[: len(clean) // FRAME * FRAME].reshape(-1, FRAME) for v in (clean, noisy, y))
    level = 20 * np.log10(np.sqrt((c**2).mean(1)) / max(active_rms(clean, METRIC_RATE), 1e-9) + 1e-9)
    pause, voice = level < -PAUSE_DB, level > -MARGIN_DB
    return {
        "pauses": db(rms(x[pause]) / max(rms(y[pause]), 1e-9)) if x[pause].any() else math.nan,
        "voice": -db((y[voice] * c[voice]).sum() / (c[voice] ** 2).sum()) if voice.any() else math.nan,
    }


def opinions(clean: np.ndarray, noisy: np.ndarray, y: np.ndarray, asked: judges.Judges) -> dict[str, float]:
    """All figures of a signal at 16 kHz."""
    made = {}
    if asked.distillmos:
        made["DistillMOS"] = judges.distillmos(y)
    if asked.dnsmos:
        made |= judges.dnsmos(np.resize(y, int(judges.SECONDS * METRIC_RATE)), asked.dnsmos)
        del made["P.808"]
    made["PESQ-WB"] = pesq_wb(clean, y)
    if asked.residue:
        made |= {k: v for k, v in judges.residue(clean, noisy, y).items() if k in ("left", "cut")}
    return made | falls(clean, noisy, y)


def score_pair(clean: Path, noisy: Path, snr: float, weights: str, settings: list[Setting], asked: judges.Judges) -> dict[str, dict]:
    """By setting: figures of one pair at one SNR."""
    torch.set_num_threads(1)
    (c, rate), (x, _) = read(clean), read(noisy)
    n = min(len(c), len(x))
    c, x = c[:n], x[:n]
    x = mixture(c, x, rate, snr)
    to = lambda v: resample(v, rate, METRIC_RATE)  # noqa: E731
    c16, x16 = to(c), to(x)
    denoised = {s: to(denoise(weights, x, rate, s)) for s in {s.sensitivity for s in settings}}
    heard = {"off": x16} | {str(s): s.hear(x16, denoised[s.sensitivity]) for s in settings} | {"clean": c16}
    return {name: opinions(c16, x16, y, asked) for name, y in heard.items()}


def mean(values: list[float]) -> float:
    known = [v for v in values if not math.isnan(v)]
    return sum(known) / len(known) if known else math.nan


def markdown(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(r) + " |" for r in [head, ["---"] * len(head), *rows])


def tables(results: dict[tuple[str, float], list[dict[str, dict]]]) -> str:
    """`results`: (set, SNR) -> of each pair what `score_pair` gives."""
    some = next(iter(results.values()))[0]
    settings, figures = list(some), list(some["off"])
    at = {
        (setting, figure): [mean([r[setting][figure] for r in rows]) for rows in results.values()]
        for setting in settings
        for figure in figures
    }
    digits = lambda figure: 1 if figure in ("pauses", "voice") else 2  # noqa: E731
    shown = lambda figure, v: "-" if math.isnan(v) else f"{round(v, digits(figure)) + 0.0:.{digits(figure)}f}"  # noqa: E731
    parts = []
    for figure in figures:
        head = [figure] + [f"{name} {snr:g} dB" for name, snr in results]
        parts.append(markdown(head, [[s, *(shown(figure, v) for v in at[s, figure])] for s in settings]))
    head = ["means"] + figures
    parts.append(markdown(head, [[s, *(shown(f, mean(at[s, f])) for f in figures)] for s in settings]))
    return "\n\n".join(parts)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("sets", type=Path, nargs="+", metavar="SET")
    p.add_argument("--network", required=True, help="checkpoint (.pt) or weights (.safetensors)")
    p.add_argument("--settings", type=Setting.of, nargs="+", default=[Setting.of(s) for s in SETTINGS], metavar="SETTING")
    p.add_argument("--snr", type=float, nargs="+", default=[0, 5, 10, 15, 20], metavar="DB")
    p.add_argument("--every", type=int, default=1, metavar="N", help="every Nth pair")
    p.add_argument("--judges", nargs="+", default=["all"], choices=["all", "none", *judges.NAMES], help="default: all available")
    p.add_argument("--dnsmos", metavar="DIR", help=f"folder of {' and '.join(judges.MODELS)}; default: $DNSMOS_DIR")
    p.add_argument("--jobs", type=int, default=1)
    p.add_argument("--json", type=Path)
    a = p.parse_args()
    asked, lacking = judges.find(a.judges, a.dnsmos)
    for line in lacking:
        print(line, flush=True)
    results = {}
    with ProcessPoolExecutor(a.jobs) as pool:
        for folder in a.sets:
            rows = pairs(folder)[:: a.every]
            for snr in a.snr:
                done = [pool.submit(score_pair, clean, noisy, snr, a.network, a.settings, asked) for noisy, clean in rows]
                results[folder.resolve().name, snr] = [d.result() for d in done]
                print(f"{folder.resolve().name} {snr:g} dB: {len(rows)} pairs", flush=True)
    print(f"\n{tables(results)}")
    if a.json:
        out = [dict(set=name, snr=snr, pairs=rows) for (name, snr), rows in results.items()]
        a.json.write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
