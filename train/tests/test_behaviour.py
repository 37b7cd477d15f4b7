"""behaviour.py on denoisers with known behaviour."""

import numpy as np
import pytest

import behaviour
from conftest import voice
from data import rms

RATE = 16000


def rows(rng, count=2, noise=0.003):
    out = []
    for _ in range(count):
        clean = voice(rng, 4, RATE).astype(np.float64)
        out.append((clean, clean + noise * rng.standard_normal(len(clean)), RATE))
    return out


def test_words_that_are_cut_are_counted(rng):
    def mute(x, rate):
        y = x.copy()
        y[rate : 2 * rate] *= 0.1  # 20 dB
        return y

    whole = behaviour.cut_words(lambda x, rate: x, rows(rng))
    assert whole["cut"] == whole["weak_cut"] == 0 and whole["stretches"] > 20 and whole["worst_db"] < 3
    cut = behaviour.cut_words(mute, rows(rng))
    assert cut["cut"] >= 8 and cut["worst_db"] == pytest.approx(20, abs=1.5)
    assert cut["weak_stretches"] >= cut["stretches"]


def test_lost_rumble_is_no_lost_word(rng):
    """A 20 Hz tone as loud as the voice goes: nothing that one hears."""
    tone = 0.1 * np.sin(2 * np.pi * 20 * np.arange(4 * RATE) / RATE)
    loud = [(clean + tone, noisy + tone, rate) for clean, noisy, rate in rows(rng)]
    assert behaviour.cut_words(behaviour.audible, loud)["cut"] == 0


def test_noisy_pairs_are_left_out_of_the_count(rng):
    assert behaviour.cut_words(lambda x, rate: 0 * x, rows(rng, noise=0.2))["stretches"] == 0


def test_noise_alone(rng):
    made = behaviour.noises(rng, RATE, 3, [voice(rng, 2, RATE) for _ in range(6)])
    assert set(made) == {"white", "pink", "fan", "hum", "keyboard", "babble"}
    for x in made.values():
        assert 20 * np.log10(rms(x)) == pytest.approx(-30, abs=0.01)
    # A denoiser that needs half a second to fall by 40 dB is judged by what comes after the first.
    late = lambda x, rate: np.where(np.arange(len(x)) < rate // 2, x, 0.01 * x)  # noqa: E731
    assert all(fall == pytest.approx(40, abs=0.1) for fall in behaviour.falls(late, made, RATE).values())


def test_levels_and_drift(rng):
    """A gate with a fixed threshold fails at a low level; a gain that sinks with time shows in the tenth minute."""
    some = rows(rng)
    gate = lambda x, rate: np.where(np.abs(x) > 0.003, x, 0)  # noqa: E731
    got = behaviour.levels(gate, some)
    assert got["-50"] < got["-10"] - 0.3
    voices = [voice(rng, 20, RATE) for _ in range(2)]
    noise = np.random.default_rng(2)
    worse = lambda x, rate: x + np.linspace(0, 0.05, len(x)) * noise.standard_normal(len(x))  # noqa: E731
    drift = behaviour.minutes(worse, rng, voices, RATE)
    assert drift["last"]["SI-SDR"] < drift["first"]["SI-SDR"] - 3
    assert drift["last"]["PESQ-WB"] < drift["first"]["PESQ-WB"]


def test_a_gate_loses_the_softer_talker(rng):
    """A gate that closes below the loudest of all it has heard mutes who speaks 20 dB lower, but only after the louder voice."""

    def gate(x, rate):
        envelope = np.sqrt(np.convolve(x**2, np.ones(rate // 10) / (rate // 10), "same"))
        return np.where(envelope > 0.03 * np.maximum.accumulate(np.abs(x)), x, 0.01 * x)

    voices = [voice(rng, 3, RATE).astype(np.float64) for _ in range(3)]
    got = behaviour.turns(gate, voices, RATE, rng)
    assert got["25 dB"]["after"] > 0.5 and got["25 dB"]["alone"] < 0.2
    kept = behaviour.turns(lambda x, rate: x, voices, RATE, rng)
    assert all(v["after"] == v["alone"] == 0 and v["stretches"] > 10 for v in kept.values())


def test_what_silence_does_is_seen(rng):
    """A denoiser that is ten times worse after ten seconds of nothing."""

    def forgets(x, rate):
        silent = np.abs(x[: 10 * rate]).max(initial=0) < 1e-3
        return x + (0.1 if silent else 0.01) * np.random.default_rng(3).standard_normal(len(x))

    got = behaviour.after_silence(forgets, rows(rng), rng)
    assert abs(got["2 s silence"]["mean"]) < 1.5 and got["10 s silence"]["mean"] < -5 and got["40 s dither"]["most"] < -5


def test_onsets_that_fade_in_are_seen(rng):
    voices = [voice(rng, 2, RATE).astype(np.float64) for _ in range(2)]
    assert behaviour.onsets(lambda x, rate: x, voices, RATE)["most"] == 0

    def fades(x, rate):
        first = np.flatnonzero(x)[0]
        return x * np.clip((np.arange(len(x)) - first) / (rate / 5), 0, 1)

    assert behaviour.onsets(fades, voices, RATE)["mean"] > 6


def test_hiss_left_at_the_top_is_seen(rng):
    def leaves_the_top(x, rate):
        spectrum = np.fft.rfft(x)
        spectrum[np.fft.rfftfreq(len(x)) < 0.4] *= 0.01
        return np.fft.irfft(spectrum, len(x))

    for got in behaviour.slopes(leaves_the_top, rng, RATE).values():
        assert got["below"] == pytest.approx(40, abs=0.5) and got["above"] == pytest.approx(0, abs=0.5)
