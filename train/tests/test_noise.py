"""Noise without recordings, and recorded noise altered."""

import numpy as np
import pytest

import noise
from noise import rms


@pytest.mark.parametrize("kind", noise.KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("rate", [16000, 48000])
def test_every_kind_is_finite_and_there_for_any_draw(kind, rate):
    for seed in range(30):
        x = kind(np.random.default_rng(seed), rate, rate)
        assert x.shape == (rate,) and np.isfinite(x).all()
        assert rms(x) > 1e-3


@pytest.mark.parametrize("samples", [1, 2, 30, 479])
def test_short_noises_are_made_too(samples):
    for kind in noise.KINDS:
        x = kind(np.random.default_rng(samples), samples, 16000)
        assert x.shape == (samples,) and np.isfinite(x).all(), kind.__name__
    x = np.ones(samples, np.float32)
    for way in (noise.backwards, noise.scattered, noise.swelling, noise.altered):
        assert way(np.random.default_rng(1), x, 16000).shape == x.shape, way.__name__


def test_kinds_are_drawn_as_often_as_said():
    assert sum(noise.KINDS.values()) == pytest.approx(1)


def test_a_draw_makes_the_same_noise_again():
    a, b = (noise.synthetic_noise(np.random.default_rng(5), 8000, 16000) for _ in range(2))
    np.testing.assert_array_equal(a, b)
    assert a.dtype == np.float32


def test_scattered_grains_keep_the_spectrum_and_lose_the_order(rng):
    rate, t = 16000, np.arange(32000) / 16000
    x = np.where(t < 1, np.sin(2 * np.pi * 500 * t), np.sin(2 * np.pi * 3000 * t)).astype(np.float32)
    changed = [noise.scattered(np.random.default_rng(k), x, rate) for k in range(40)]
    power = np.mean([np.abs(np.fft.rfft(y)) ** 2 for y in changed], 0)
    near = lambda f: power[2 * f - 40 : 2 * f + 40].sum()  # noqa: E731  half a hertz a bin
    assert near(500) + near(3000) > 0.9 * power.sum()
    assert 0.5 < near(500) / near(3000) < 2
    early = np.mean([np.abs(np.fft.rfft(y[:16000])[2980:3020]).max() for y in changed])
    assert early > 500  # what came in the second second is heard in the first


def test_scattering_keeps_the_level(rng):
    x = rng.standard_normal(48000).astype(np.float32)
    levels = [rms(noise.scattered(np.random.default_rng(k), x, 16000)) for k in range(20)]
    assert np.mean(levels) == pytest.approx(1, abs=0.05)


def test_swells_move_at_the_pace_and_depth_asked_for():
    slow, fast = (np.log(noise.swell(np.random.default_rng(2), 160000, 16000, pace, 0.5)) for pace in (1.0, 10.0))
    assert np.abs(np.diff(fast)).mean() > 5 * np.abs(np.diff(slow)).mean()
    assert 0.3 < fast.std() < 0.6


def test_crossed_noises_lie_side_by_side(rng):
    """Well below the lowest corner only one is heard, well above the highest only the other."""
    n, rate = 48000, 16000
    t = np.arange(n) / rate
    low, high = (np.sin(2 * np.pi * f * t).astype(np.float32) for f in (50, 7000))
    for seed in range(20):
        y = np.abs(np.fft.rfft(noise.crossed(np.random.default_rng(seed), low + high, rng.standard_normal(n).astype(np.float32), rate)))
        tone = y[150] / np.median(y[100:200])
        assert tone > 20 and y[21000] < 20 * np.median(y[20900:21100])
