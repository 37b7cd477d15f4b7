"""Tests a denoiser beyond mean scores: levels, noise alone, cut words, long speech, alternating speakers, silence, onsets.

    python behaviour.py --network ../bundled/live.safetensors SET [SET ...] [--json behaviour.json]

Each SET contains pairs as for `evaluate.py`. Eight tests, each with a limit:

    level    PESQ-WB (ITU-T P.862.2) of the pairs with the voice at -50, -30 and -10 dBFS; limit: within 0.1 of each other
    noise    reduction of noise alone after one second, dB; limit: 40 dB, babble 20 dB
    words    at 10 dB SNR or more, 200 ms stretches of speech that lose over 10 dB; limit: none. Speech means frames within 15.9 dB
             of the voice's level (the margin of ITU-T P.56), above 80 Hz: below that there is only rumble, which may be removed
    minutes  STOI, SI-SDR and PESQ-WB of the first and last of ten identical minutes of speech in noise; limit: the same
    turns    one voice, then another 10, 20 or 25 dB below it, over noise at -75 dBFS: share of the second voice's stretches of speech
             that lose over 10 dB, and the same without the first voice; limit at 20 dB: 0.02
    silence  SI-SDR of the pairs after 2, 10 and 40 s of digital silence or dither, minus that of the same pair at the start, dB: the
             mean, and the largest difference of any pair; limit: 1 dB for each pair
    onsets   dB by which the first 50 ms of a clean voice fall after a second of silence, mean and largest; limit: 6 dB
    slopes   reduction of white noise at -34 dBFS below and above .4 of the sample rate, if the top of the band rolls off
             as in resamplers, dB; limit: within 6 dB of each other

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
MARGIN_DB = 15.9  # ITU-T P.56: anything further below the voice's level is a pause
WEAK_MARGIN_DB = 25.0  # includes word endings and breath
AUDIBLE_HZ = 80.0


def db(ratio: float) -> float:
    return float(20 * np.log10(max(ratio, 1e-12)))


def pesq_wb(clean: np.ndarray, y: np.ndarray) -> float:
    from pesq import pesq

    return float(pesq(METRIC_RATE, clean.astype(np.float32), y.astype(np.float32), "wb"))


def at_metric_rate(*signals: np.ndarray, rate: int) -> list[np.ndarray]:
    return [resample(x, rate, METRIC_RATE) for x in signals]


def levels(run, rows: list) -> dict[str, float]:
    """rows: (clean, noisy, rate) -> mean PESQ-WB with the voice at each level; loud ones may exceed full scale."""
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
    """Reduction of each in dB, after the first second."""
    return {k: db(rms(x[rate:]) / max(rms(run(x, rate)[rate:]), 1e-12)) for k, x in made.items()}


def audible(x: np.ndarray, rate: int) -> np.ndarray:
    """Zero-phase high-pass at AUDIBLE_HZ."""
    spectrum = np.fft.rfft(x)
    spectrum[np.fft.rfftfreq(len(x), 1 / rate) < AUDIBLE_HZ] = 0
    return np.fft.irfft(spectrum, len(x))


def cut_words(run, rows: list) -> dict[str, float]:
    """Counts stretches with speech, and those that lose more than LOST_DB; `weak` uses WEAK_MARGIN_DB."""
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


def turns(run, voices: list[np.ndarray], rate: int, rng) -> dict[str, dict[str, float]]:
    """Each voice, followed by the next one at a lower level."""
    found: dict = {}
    n = int(STRETCH * rate)
    for below in (10, 20, 25):
        counts = {"stretches": 0, "lost": 0, "lost_alone": 0}
        for first, second in zip(voices, voices[1:]):
            loud = first / active_rms(first, rate) * 10 ** (-18 / 20)
            soft = second / active_rms(second, rate) * 10 ** ((-18 - below) / 20)
            x = np.concatenate([loud, soft])
            x = x + rng.standard_normal(len(x)) * 10 ** (-75 / 20)
            kept, alone = (audible(y, rate) for y in (run(x, rate)[len(loud) :], run(x[len(loud) :], rate)))
            clean = audible(soft, rate)
            level = active_rms(clean, rate)
            for start in range(0, len(clean) - n, n):
                a, b, c = (rms(v[start : start + n]) for v in (clean, kept, alone))
                if db(a / level) > -MARGIN_DB:
                    counts["stretches"] += 1
                    counts["lost"] += db(a / max(b, 1e-9)) > LOST_DB
                    counts["lost_alone"] += db(a / max(c, 1e-9)) > LOST_DB
        many = max(counts["stretches"], 1)
        found[f"{below} dB"] = {"after": counts["lost"] / many, "alone": counts["lost_alone"] / many, "stretches": many}
    return found


def after_silence(run, rows: list, rng) -> dict[str, dict[str, float]]:
    """Leading silence should not change the result."""
    fresh = [si_sdr(clean, run(noisy, rate)) for clean, noisy, rate in rows]
    found = {}
    for kind in ("silence", "dither"):
        for seconds in (2, 10, 40):
            change = []
            for (clean, noisy, rate), before in zip(rows, fresh):
                lead = np.zeros(seconds * rate)
                if kind == "dither":
                    lead += rng.standard_normal(len(lead)) * 2**-16
                change.append(si_sdr(clean, run(np.concatenate([lead, noisy]), rate)[len(lead) :]) - before)
            found[f"{seconds} s {kind}"] = {"mean": float(np.mean(change)), "most": float(max(change, key=abs))}
    return found


def onsets(run, voices: list[np.ndarray], rate: int) -> dict[str, float]:
    """Each voice is trimmed to start at its first loud sound."""
    falls_by = []
    n = rate // 20
    for voice in voices:
        loud = np.flatnonzero(np.abs(voice) > 10 ** (-20 / 20) * np.abs(voice).max())
        begin = max(int(loud[0]) - rate // 100, 0)
        x = np.concatenate([np.zeros(rate), voice[begin:]])
        y = run(x, rate)
        falls_by.append(db(rms(x[rate : rate + n]) / max(rms(y[rate : rate + n]), 1e-9)))
    return {"mean": float(np.mean(falls_by)), "most": float(max(falls_by))}


def slopes(run, rng, rate: int) -> dict[str, dict[str, float]]:
    """White noise with a gentle roll-off at the top, where the residue must not be loudest."""
    n, found = 4 * rate, {}
    f = np.fft.rfftfreq(n, 1 / rate) / rate
    white = np.fft.rfft(rng.standard_normal(n))
    for corner, order in ((0.5, 1e9), (0.46, 40), (0.42, 20), (0.38, 10)):
        x = np.fft.irfft(white / (1 + np.minimum((f / corner) ** min(order, 1000), 1e30)), n)
        x *= 10 ** (-34 / 20) / rms(x)
        before, after = (np.abs(np.fft.rfft(v[rate:])) ** 2 for v in (x, run(x, rate)))
        at = np.fft.rfftfreq(n - rate, 1 / rate) / rate
        parts = {"below": at < 0.4, "above": (at > 0.4) & (at < 0.48)}
        found[f"{corner:g} rate"] = {k: db(np.sqrt(before[m].sum() / max(after[m].sum(), 1e-20))) for k, m in parts.items()}
    return found


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("sets", type=Path, nargs="+", metavar="SET")
    p.add_argument("--network", required=True, help="checkpoint (.pt) or weights (.safetensors)")
    p.add_argument("--pairs", type=int, default=12, help="of each set, for the levels")
    p.add_argument("--voices", type=int, default=10, help="of each set, for turns and silence")
    p.add_argument("--only", nargs="+", metavar="QUESTION", help="some of the questions")
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
        questions = {
            "level": lambda: levels(run, rows[: a.pairs]),
            "noise": lambda: falls(run, noises(rng, rate, 10, voices), rate),
            "words": lambda: cut_words(run, rows),
            "minutes": lambda: minutes(run, rng, voices, rate),
            "turns": lambda: turns(run, voices[: a.voices], rate, rng),
            "silence": lambda: after_silence(run, rows[: a.voices], rng),
            "onsets": lambda: onsets(run, voices, rate),
            "slopes": lambda: slopes(run, rng, rate),
        }
        if unknown := set(a.only or ()) - questions.keys():
            p.error(f"unknown: {', '.join(sorted(unknown))}; available: {', '.join(questions)}")
        result[folder.resolve().name] = made = {}
        for name, ask in questions.items():
            if a.only and name not in a.only:
                continue
            made[name] = ask()
            print(f"{folder.name}: {name:8}", json.dumps(made[name], default=float), flush=True)
    if a.json:
        a.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
