"""How good are the training targets? Mean opinion scores of the clean sides of training items, as mixed.

    python targets.py --cache CACHE --dnsmos DIR [--items 200] [--compare]

prints DNSMOS's SIG, BAK and OVRL (judges.py) over items that have a voice, with the standard error of the mean, twice: at
the items' own levels, and with every voice at -27 dBFS. DNSMOS depends on level (at -47 dBFS the same voices lose 0.4), but the
loss does not, so the second figure is the quality of the targets. With --compare also without the recipe's rooms, equaliser,
band limits and speed changes, and with every voice drawn with equal weight instead of by `mos`. A network cannot sound better
than its targets; the goal is at least 3.2.
"""

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
import soxr

import judges
from data import Cache, Mixer, Recipe, active_rms

FIGURES = ("SIG", "BAK", "OVRL")
LEVEL = -27.0  # dBFS of the voice
FULL = 0.3  # share of items at 48 kHz, as train.py has it
SHARES = {
    "without rooms": dict(p_reverb=0.0),
    "without the voice's equaliser": dict(p_eq_voice=0.0),
    "without band limits and soft slopes": dict(p_band_limit=0.0, p_soft_slope=0.0),
    "without changes of speed": dict(p_speed=0.0),
    "without all of these": dict(p_reverb=0.0, p_eq_voice=0.0, p_band_limit=0.0, p_soft_slope=0.0, p_speed=0.0),
}


class Plain(Cache):
    """Every voice is drawn with equal weight, whatever its opinion score."""

    @staticmethod
    def quality(item: dict) -> float:
        return 1.0


def target(mixer: Mixer, seed: int, i: int) -> np.ndarray | None:
    """Item i's clean side at 16 kHz, or None if nobody speaks."""
    rng = np.random.default_rng([seed, i])
    full = bool(rng.random() < FULL) and bool(mixer.cache.items["speech", 48000])
    clean = mixer.item(rng, full)["clean"]
    if active_rms(clean, 48000 if full else 16000) < 1e-5:
        return None
    return soxr.resample(clean, 48000, judges.RATE, quality="HQ") if full else clean


def opinions(cache: str, recipe: Recipe, by_mos: bool, seed: int, items: range, dnsmos: str) -> list[list[list[float]]]:
    """Two rows of FIGURES for each item with a voice: at its own level, and at LEVEL."""
    mixer = Mixer((Cache if by_mos else Plain)(cache, "train"), recipe)
    heard = [x for x in (target(mixer, seed, i) for i in items) if x is not None]
    rows = []
    for x in heard:
        both = x, x * (10 ** (LEVEL / 20) / active_rms(x, judges.RATE))
        rows.append([[opinion[name] for name in FIGURES] for opinion in (judges.dnsmos(y, dnsmos) for y in both)])
    return rows


def line(name: str, rows: list) -> str:
    x = np.array(rows)  # (items, 2, figures)
    mean, error = x.mean(0), x.std(0, ddof=1) / np.sqrt(len(x))
    said = ["  ".join(f"{k} {m:.2f} ({e:.2f})" for k, m, e in zip(FIGURES, *row)) for row in zip(mean, error)]
    return f"{name}: {len(x)} items  {said[0]}  at {LEVEL:.0f} dBFS  {said[1]}"


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cache", required=True, help="folder made by data.py")
    p.add_argument("--dnsmos", metavar="DIR", help="DNSMOS's models (else the environment's DNSMOS_DIR)")
    p.add_argument("--items", type=int, default=200)
    p.add_argument("--seconds", type=float, default=Recipe.seconds, help="of an item (default %(default)s)")
    p.add_argument("--compare", action="store_true", help="also what each part of the recipe costs")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--jobs", type=int, default=os.cpu_count())
    a = p.parse_args()
    folder = judges.find(["dnsmos"], a.dnsmos)[0].dnsmos
    recipe = Recipe(seconds=a.seconds)
    asked = [("as mixed", recipe, True)]
    if a.compare:
        asked += [(name, replace(recipe, **share), True) for name, share in SHARES.items()] + [("every voice alike", recipe, False)]
    with ProcessPoolExecutor(a.jobs) as pool:
        for name, r, by_mos in asked:
            parts = [range(k, a.items, a.jobs) for k in range(a.jobs)]
            made = [pool.submit(opinions, a.cache, r, by_mos, a.seed, part, folder) for part in parts]
            print(line(name, sum((m.result() for m in made), [])), flush=True)


if __name__ == "__main__":
    main()
