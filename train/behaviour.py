"""What a denoiser does beyond mean scores: levels, noise alone, words cut, hours of talk.

    python behaviour.py --network ../bundled/wisp.safetensors SET [SET ...] [--json behaviour.json]

Each SET holds pairs as `evaluate.py` takes them. Four questions, each with its bar:

    level    PESQ-WB (ITU-T P.862.2) of the pairs with the voice at -50, -30 and -10 dBFS; bar: within 0.1 of each other
    noise    dB that noise alone falls by after one second; bar: 40 dB, babble 20 dB
    words    at 10 dB SNR and more, 200 ms stretches of speech that lose over 10 dB; bar: none. Speech is what lies within 15.9 dB
             of the voice's level (the margin of ITU-T P.56), above 80 Hz: below there is rumble alone, which may go
    minutes  STOI, SI-SDR and PESQ-WB of the first and the last of ten like minutes of talk in noise; bar: the same

Noises are synthesised: white, pink, fan (low-passed, with blades), hum (50 Hz and harmonics), keyboard (bursts), babble (six of
the sets' clean voices at once).
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from data import active_rms, rms
from evaluate import METRIC_RATE, denoise, pairs, read, resample, si_sdr

LEVELS = (-50, -30, -10)
STRETCH = 0.2  # s
LOST_DB = 10.0
MARGIN_DB = 15.9  # ITU-T P.56: what is further below the voice's level is a pause
WEAK_MARGIN_DB = 25.0  # ends of words and breath too
AUDIBLE_HZ = 80.0


def db(ratio: float) -> float:
    return float(20 * np.log10(max(ratio, 1e-12)))


def pesq_wb(clean: np.ndarray, y: np.ndarray) -> float:
    from pesq import pesq

    return float(pesq(METRIC_RATE, clean.astype(np.float32), y.astype(np.float32), "wb"))


def at_metric_rate(*signals: np.ndarray, rate: int) -> list[np.ndarray]:
    return [resample(x, rate, METRIC_RATE) for x in signals]


def levels(run, rows: list) -> dict[str, float]:
    """rows: (clean, noisy, rate) -> mean PESQ-WB with the voice at each level; loud ones may pass full scale."""
    out = {}
    for level in LEVELS:
        values = []
        for clean, noisy, rate in rows:
            gain = 10 ** (level / 20) / active_rms(clean, rate)
            c, y = at_metric_rate(clean, run(noisy * gain, rate) / gain, rate=rate)
            values.append(pesq_wb(c, y))
        out[str(level)] = float(np.mean(values))
    return out


def noises(rng, rate: int, seconds: float, voices: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Each at -30 dBFS."""
    n = int(rate * seconds)
    t, f = np.arange(n) / rate, np.fft.rfftfreq(n, 1 / rate)

    def shaped(gain: np.ndarray) -> np.ndarray:
        x = np.fft.irfft(np.fft.rfft(rng.standard_normal(n)) * gain, n)
        return x / rms(x)

    keys = np.zeros(n)
    for at in np.sort(rng.uniform(0, seconds - 0.1, int(6 * seconds))):
        burst = rng.standard_normal(rate // 50) * np.exp(-np.arange(rate // 50) / (rate * 0.003))
        start = int(at * rate)
        keys[start : start + len(burst)] += burst * rng.uniform(0.5, 1.5)
    babble = np.zeros(n)
    for voice in voices[:6]:
        babble += np.tile(voice / active_rms(voice, rate), n // len(voice) + 2)[int(rng.integers(len(voice))) :][:n]
    made = {
        "white": shaped(np.ones(len(f))),
        "pink": shaped(np.maximum(f, 20) ** -0.5),
        "fan": shaped(1 / (1 + (f / 500) ** 2)) + 0.3 * np.sin(2 * np.pi * 120 * t),
        "hum": sum(np.sin(2 * np.pi * 50 * k * t + k) / k for k in range(1, 12)),
        "keyboard": keys,
        "babble": babble,
    }
    return {k: x / rms(x) * 10 ** (-30 / 20) for k, x in made.items()}


def falls(run, made: dict[str, np.ndarray], rate: int) -> dict[str, float]:
    """dB that each goes down by, from the first second on."""
    return {k: db(rms(x[rate:]) / max(rms(run(x, rate)[rate:]), 1e-12)) for k, x in made.items()}


def audible(x: np.ndarray, rate: int) -> np.ndarray:
    """Without what lies below AUDIBLE_HZ; no phase is turned."""
    spectrum = np.fft.rfft(x)
    spectrum[np.fft.rfftfreq(len(x), 1 / rate) < AUDIBLE_HZ] = 0
    return np.fft.irfft(spectrum, len(x))


def cut_words(run, rows: list) -> dict[str, float]:
    """Counts stretches with speech, and those that lost more than LOST_DB; `weak`: the same with WEAK_MARGIN_DB."""
    found = {"stretches": 0, "cut": 0, "weak_stretches": 0, "weak_cut": 0}
    worst = 0.0
    for clean, noisy, rate in rows:
        if db(active_rms(clean, rate) / rms(noisy - clean)) < 10:
            continue
        n = int(STRETCH * rate)
        y, clean = audible(run(noisy, rate), rate), audible(clean, rate)
        level = active_rms(clean, rate)
        for start in range(0, len(clean) - n, n // 2):
            a, b = rms(clean[start : start + n]), rms(y[start : start + n])
            lost = db(a / max(b, 1e-9))
            for prefix, margin in (("", MARGIN_DB), ("weak_", WEAK_MARGIN_DB)):
                if db(a / level) > -margin:
                    found[prefix + "stretches"] += 1
                    found[prefix + "cut"] += lost > LOST_DB
            if db(a / level) > -MARGIN_DB:
                worst = max(worst, lost)
    return found | {"worst_db": worst}


def minutes(run, rng, voices: list[np.ndarray], rate: int) -> dict[str, dict[str, float]]:
    """The same minute ten times, 10 dB over pink noise."""
    from pystoi import stoi

    n = 60 * rate
    talk = np.concatenate([v / active_rms(v, rate) * 10 ** (-27 / 20) for v in voices])
    talk = np.tile(talk, n // len(talk) + 1)[:n]
    f = np.fft.rfftfreq(n, 1 / rate)
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(n)) * np.maximum(f, 20) ** -0.5, n)
    noisy = talk + noise / rms(noise) * active_rms(talk, rate) * 10 ** (-10 / 20)
    y = run(np.tile(noisy, 10), rate)
    out = {}
    for name, part in (("first", y[:n]), ("last", y[-n:])):
        c, e = at_metric_rate(talk, part, rate=rate)
        ten = slice(20 * METRIC_RATE, 40 * METRIC_RATE)  # PESQ is defined for short samples
        out[name] = {"PESQ-WB": pesq_wb(c[ten], e[ten]), "STOI": float(stoi(c, e, METRIC_RATE)), "SI-SDR": si_sdr(c, e)}
    return out


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("sets", type=Path, nargs="+", metavar="SET")
    p.add_argument("--network", required=True, help="checkpoint (.pt) or weights (.safetensors)")
    p.add_argument("--pairs", type=int, default=12, help="of each set, for the levels")
    p.add_argument("--json", type=Path)
    a = p.parse_args()
    torch.set_num_threads(1)
    run = lambda x, rate: denoise(a.network, x, rate)  # noqa: E731
    result: dict = {}
    for folder in a.sets:
        rows = []
        for noisy, clean in pairs(folder):
            (x, rate), (c, _) = read(noisy), read(clean)
            rows.append((c[: len(x)], x[: len(c)], rate))
        rate, rng = rows[0][2], np.random.default_rng(0)
        voices = [c for c, _, _ in rows]
        result[folder.resolve().name] = made = {
            "level": levels(run, rows[: a.pairs]),
            "noise": falls(run, noises(rng, rate, 10, voices), rate),
            "words": cut_words(run, rows),
            "minutes": minutes(run, rng, voices, rate),
        }
        for name, figures in made.items():
            print(f"{folder.name}: {name:8}", json.dumps(figures, default=float), flush=True)
    if a.json:
        a.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
