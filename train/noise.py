"""Synthetic noise, and variations of recorded noise.

A network learns the noises in its training data, and a few hours of recordings do not contain many. These sounds fill the
gaps. None of them is meant to be a copy of anything; together they cover the ways in which noises differ: spectrum, how bands swell and fall together, events and their decay, pitch and how it moves.
"""

import numpy as np
import scipy.fft
import scipy.signal


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64)) + 1e-20))


def random_curve(rng, freqs: np.ndarray, depth_db: float) -> np.ndarray:
    """A smooth random gain over frequency: a tilt and three broad bumps on the logarithmic axis."""
    octave = np.log2(np.maximum(freqs, 30) / 1000)
    db = rng.normal(0, depth_db / 6) * octave
    for _ in range(3):
        db += rng.normal(0, depth_db) * np.exp(-0.5 * ((octave - rng.uniform(-4, 4)) / rng.uniform(0.3, 1.5)) ** 2)
    return 10 ** (np.clip(db, -30, 30) / 20)


def drift(rng, n: int, rate: int, per_second: float, depth: float) -> np.ndarray:
    """n values of a random course around 0 that moves at about that pace; `depth` is the standard deviation of its turning points."""
    knots = rng.normal(0, depth, int(n / rate * per_second) + 3)
    at = np.arange(n, dtype=np.float32) * np.float32(per_second / rate) + np.float32(rng.random())
    return np.interp(at, np.arange(len(knots)), knots).astype(np.float32)


def swell(rng, n: int, rate: int, per_second: float, depth: float) -> np.ndarray:
    """An envelope whose natural logarithm is `drift`."""
    return np.exp(drift(rng, n, rate, per_second, depth))


class Shaper:
    """Gaussian noise of n samples with a given spectrum."""

    def __init__(self, rng, n: int, rate: int):
        self.rng, self.n, self.rate = rng, n, rate
        self.size = scipy.fft.next_fast_len(n, real=True)
        self.f = scipy.fft.rfftfreq(self.size, 1 / rate).astype(np.float32)

    def noise(self, gain) -> np.ndarray:
        """Noise under the gain (a number, or one for every frequency of `f`); rms 1."""
        white = self.rng.standard_normal(len(self.f), np.float32) + 1j * self.rng.standard_normal(len(self.f), np.float32)
        x = scipy.fft.irfft((white * gain).astype(np.complex64), self.size)[: self.n]
        return x / rms(x)

    def through(self, x: np.ndarray, gain) -> np.ndarray:
        """x under the gain; its ends run into each other."""
        return scipy.fft.irfft((scipy.fft.rfft(x, self.size) * gain).astype(np.complex64), self.size)[: self.n]


def coloured(rng, n: int, rate: int) -> np.ndarray:
    make = Shaper(rng, n, rate)
    return make.noise(np.maximum(make.f, 20) ** -rng.uniform(0, 1.2) * random_curve(rng, make.f, 4))


def fan(rng, n: int, rate: int) -> np.ndarray:
    make, t = Shaper(rng, n, rate), np.arange(n, dtype=np.float32) / rate
    x = make.noise(1 / (1 + (make.f / rng.uniform(150, 2500)) ** rng.uniform(1, 3)))
    blade = rng.uniform(60, 400)
    for k in range(1, rng.integers(2, 8)):
        if blade * k < rate / 2:
            x += rng.uniform(0, 0.6) / k * np.sin(2 * np.pi * blade * k * t + rng.uniform(0, 6.28))
    return x * (1 + rng.uniform(0, 0.3) * np.sin(2 * np.pi * rng.uniform(0.2, 8) * t))


def hum(rng, n: int, rate: int) -> np.ndarray:
    t = np.arange(n, dtype=np.float32) / rate
    base = rng.choice([50.0, 60.0]) * rng.uniform(0.995, 1.005)
    x = np.zeros(n, np.float32)
    for k in range(1, rng.integers(4, 40)):
        if base * k < rate / 2:
            x += rng.exponential() / k ** rng.uniform(0.4, 1.5) * np.sin(2 * np.pi * base * k * t + rng.uniform(0, 6.28))
    return x / rms(x) + Shaper(rng, n, rate).noise(1.0) * 10 ** (-rng.uniform(10, 50) / 20)


def wind(rng, n: int, rate: int) -> np.ndarray:
    make = Shaper(rng, n, rate)
    return make.noise(1 / (1 + (make.f / rng.uniform(60, 500)) ** 2)) * swell(rng, n, rate, 4, rng.uniform(0.3, 1.2))


def clicks(rng, n: int, rate: int) -> np.ndarray:
    x = np.zeros(n, np.float32)
    for at in rng.integers(0, n, rng.integers(2, int(n / rate * 12) + 3)):
        length = min(int(rate * rng.uniform(0.0005, 0.03)), n - at)
        burst = rng.standard_normal(length) * np.exp(-np.arange(length) / max(length, 1) * rng.uniform(3, 8))
        x[at : at + length] += burst * np.exp(rng.normal(0, 0.7))
    return x


def texture(rng, n: int, rate: int) -> np.ndarray:
    """Noise whose bands swell and fall, partly together: rain, applause, traffic, frying, rustling (McDermott & Simoncelli 2011)."""
    make = Shaper(rng, n, rate)
    low, high = np.log2(rng.uniform(40, 400)), np.log2(min(rng.uniform(2000, 20000), 0.49 * rate))
    bands = int(rng.integers(3, 9))
    octave = np.log2(np.maximum(make.f, 1))
    together, depth = rng.uniform(0, 1), rng.uniform(0.2, 1.6)
    per_second = float(np.exp(rng.uniform(np.log(1.5), np.log(60))))
    shared = drift(rng, n, rate, per_second, depth)
    x = np.zeros(n, np.float32)
    for k in range(bands):
        middle = low + (high - low) * (k + 0.5) / bands
        bump = np.exp(-0.5 * ((octave - middle) / ((high - low) / bands * rng.uniform(0.4, 0.8))) ** 2)
        own = drift(rng, n, rate, per_second * float(np.exp(rng.normal(0, 0.5))), depth)
        x += make.noise(bump) * np.exp(together * shared + (1 - together) * own + rng.normal(0, 0.9))
    return x


def impacts(rng, n: int, rate: int) -> np.ndarray:
    """Things that are struck, dropped or put down, at random or in time: decaying modes and a burst (van den Doel & Pai 1998)."""
    x = np.zeros(n, np.float32)
    for _ in range(rng.integers(1, 4)):
        modes = rng.integers(2, 12)
        pitch = np.exp(rng.uniform(np.log(80), np.log(min(9000, 0.45 * rate)), modes))
        decay = np.exp(rng.uniform(np.log(0.004), np.log(0.25))) * (pitch.min() / pitch) ** rng.uniform(0, 1)
        weight = rng.exponential(size=modes) * (pitch / pitch.min()) ** -rng.uniform(0, 1)
        many = rng.integers(1, int(n / rate * rng.choice([2, 6, 20])) + 2)
        if rng.random() < 0.4:  # in time, as steps or machines
            at = (np.arange(many) + rng.random() + rng.normal(0, 0.03, many)) * n / many
        else:
            at = rng.uniform(0, n, many)
        length = min(n, int(rate * min(0.8, 5 * decay.max())))
        t = np.arange(length) / rate
        burst = rng.uniform(0, 1.5) * np.exp(-t / rng.uniform(0.0005, 0.01)) * rng.standard_normal(length)
        struck = []
        for _ in range(3):  # never quite the same spot
            moved = pitch[:, None] * np.exp(rng.normal(0, 0.02))
            ring = np.exp(-t / decay[:, None]) * np.sin(2 * np.pi * moved * t)
            struck.append((weight * np.exp(rng.normal(0, 0.4, modes))) @ ring + burst)
        for start in np.clip(at, 0, n - 1).astype(int):
            m = min(length, n - start)
            x[start : start + m] += np.exp(rng.normal(0, 0.6)) * struck[rng.integers(3)][:m]
    return x


def tones(rng, n: int, rate: int) -> np.ndarray:
    """Signals, sirens, whistles, birds, instruments: partials on a pitch that stays, glides or swings, on and off."""
    x = np.zeros(n, np.float32)
    t = np.arange(n, dtype=np.float32) / rate
    for _ in range(rng.integers(1, 4)):
        pitch = np.full(n, np.exp(rng.uniform(np.log(150), np.log(min(5000, 0.3 * rate)))), np.float32)
        way = rng.choice(["stays", "glides", "swings", "steps"])
        if way == "glides":
            pitch *= swell(rng, n, rate, rng.uniform(0.5, 8), rng.uniform(0.02, 0.3))
        elif way == "swings":
            pitch *= np.exp(rng.uniform(0.01, 0.4) * np.sin(2 * np.pi * np.exp(rng.uniform(-1, 3)) * t))
        elif way == "steps":
            steps = rng.integers(-12, 13, int(n / rate * 8) + 2) / 12
            pitch *= 2.0 ** steps[(t * rng.uniform(1, 8)).astype(int)]
        turn = np.cumsum(pitch) * (2 * np.pi / rate)
        fall, odd = rng.uniform(0.3, 3), rng.random() < 0.3
        voice = np.zeros(n, np.float32)
        for k in range(1, 1 + int(rng.choice([1, 3, 12]))):
            if pitch.max() * k > 0.48 * rate:
                break
            if not (odd and k % 2 == 0):
                voice += k**-fall * rng.exponential() * np.sin(k * turn + rng.uniform(0, 6.28)).astype(np.float32)
        if rng.random() < 0.7:
            period, open_ = np.exp(rng.uniform(np.log(0.08), np.log(2))), rng.uniform(0.15, 0.9)
            on = ((t / period + rng.random()) % 1 < open_).astype(np.float32)
            edge = max(2, int(rate * rng.uniform(0.002, 0.03)))
            voice *= scipy.signal.fftconvolve(on, np.hanning(edge) / np.hanning(edge).sum(), "same")
        x += voice * np.exp(rng.normal(0, 0.7))
    return x + rms(x) * 10 ** (-rng.uniform(15, 50) / 20) * Shaper(rng, n, rate).noise(1.0)


def engine(rng, n: int, rate: int) -> np.ndarray:
    """Motors and tools: a pulse and a puff of noise every turn, unevenly, at a speed that changes, through the body's resonances."""
    make = Shaper(rng, n, rate)
    speed = np.exp(rng.uniform(np.log(12), np.log(250))) * swell(rng, n, rate, rng.uniform(0.2, 3), rng.uniform(0.01, 0.25))
    turn = np.cumsum(speed) / rate + rng.random()
    cylinders = rng.integers(1, 7)
    strength = np.exp(rng.normal(0, 0.4, cylinders))[turn.astype(int) % cylinders]
    phase = (turn % 1).astype(np.float32)
    pulse = strength * np.exp(-phase * rng.uniform(3, 40))
    x = (pulse - pulse.mean()) * rng.uniform(0.2, 1) + pulse * make.noise(1.0) * rng.uniform(0, 0.8)
    body = np.ones(len(make.f), np.float32)
    for _ in range(rng.integers(1, 6)):
        middle, width = np.exp(rng.uniform(np.log(60), np.log(6000))), rng.uniform(0.05, 0.5)
        body += rng.exponential() * 8 / (1 + ((make.f - middle) / (width * middle)) ** 2)
    x = make.through(x, body * np.maximum(make.f, 30) ** -rng.uniform(0, 1) * (make.f > 15))
    return x / rms(x) + rng.uniform(0, 0.5) * make.noise(np.maximum(make.f, 20) ** -rng.uniform(0, 1.2))


KINDS = {  # and how often
    coloured: 0.2, fan: 0.12, hum: 0.08, wind: 0.1, clicks: 0.08, texture: 0.14, impacts: 0.12, tones: 0.08, engine: 0.08,
}


def synthetic_noise(rng, n: int, rate: int) -> np.ndarray:
    """n samples of one of the KINDS; not normalised."""
    return list(KINDS)[rng.choice(len(KINDS), p=list(KINDS.values()))](rng, n, rate).astype(np.float32)


def backwards(rng, x: np.ndarray, rate: int) -> np.ndarray:
    return x[::-1].copy()


def scattered(rng, x: np.ndarray, rate: int) -> np.ndarray:
    """Grains of 30 to 400 ms from random places, half over each other: the same timbre, another course of events."""
    half = max(1, int(rate * np.exp(rng.uniform(np.log(0.015), np.log(0.2)))))
    if len(x) <= 2 * half:
        return x
    many = len(x) // half + 2
    window = np.sin(np.pi * (np.arange(2 * half) + 0.5) / (2 * half)).astype(np.float32)  # of equal power
    grains = x[rng.integers(0, len(x) - 2 * half, many)[:, None] + np.arange(2 * half)] * window
    return (grains[1:, :half] + grains[:-1, half:]).reshape(-1)[: len(x)]


def swelling(rng, x: np.ndarray, rate: int) -> np.ndarray:
    return x * swell(rng, len(x), rate, float(np.exp(rng.uniform(np.log(0.5), np.log(12)))), rng.uniform(0.2, 1.0))


def altered(rng, x: np.ndarray, rate: int) -> np.ndarray:
    """The noise backwards, scattered, swelling, or several of these."""
    ways = (backwards, scattered, swelling)
    for k in rng.permutation(len(ways))[: 1 + (rng.random() < 0.3)]:
        x = ways[k](rng, x, rate)
    return x


def crossed(rng, x: np.ndarray, y: np.ndarray, rate: int) -> np.ndarray:
    """Below some frequency one noise, above it the other, on average 3 dB softer; the course of each stays."""
    make = Shaper(rng, len(x), rate)
    share = 1 / (1 + (np.maximum(make.f, 1) / np.exp(rng.uniform(np.log(150), np.log(0.25 * rate)))) ** rng.uniform(2, 12))
    x, y = make.through(x / rms(x), share), make.through(y / rms(y), 1 - share)
    return x / rms(x) + y / rms(y) * 10 ** (rng.normal(-3, 6) / 20)
