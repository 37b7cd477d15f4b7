"""Mixing on the device, here on a CPU: what is mixed is what the recipe asks for."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

import mix
from conftest import TRAIN
from data import Cache, Recipe

PLAIN = Recipe(
    seconds=1, p_clean=0, p_nearly_clean=0, p_noise_only=0, p_reverb=0, p_eq=0, p_eq_voice=0, p_band_limit=0, p_soft_slope=0, p_turns=0,
    p_silence=0, p_babble=0, p_altered=0, p_two_noises=0, p_speed=0, p_rumble=0, p_rumble_clean=0, p_noise_rumble=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def banks():
    return mix.make_banks(1, dict(noise=4, rumble=2, room=3))


class Plain(mix.DeviceMixer):
    """At the speed of the recording no sample lies between two: nothing is interpolated."""

    def played(self, rate, start, length, at, speed, loop):
        if (speed != 1).any():
            return super().played(rate, start, length, at, speed, loop)
        index = at.long() % length if loop else at.long().clamp_min(0).minimum(length - 1)
        inside = torch.ones_like(at, dtype=torch.bool) if loop else (at >= 0) & (at < length)
        return self.samples[rate][start + index].float() / 32768 * inside


@pytest.fixture
def mixer(cache, banks):
    def make(seed=1, **changes):
        return Plain(Cache(cache, "train"), dataclasses.replace(PLAIN, **changes), banks, "cpu", seed)

    return make


def decibels(x):
    return 20 * torch.log10(x.clamp_min(1e-9))


def test_batches_look_as_the_other_mixers(mixer):
    """With everything that the recipe holds."""
    busy = {f.name: f.default for f in dataclasses.fields(Recipe) if f.name.startswith("p_")} | dict(p_reverb=0.5, p_silence=0.3)
    batches = mixer(**busy).batches(6, 2, 2)
    assert len(batches) == 2
    for batch in batches:
        assert {k: tuple(v.shape) for k, v in batch.items()} == dict(
            noisy48=(2, 48000), clean48=(2, 48000), noisy16=(4, 16000), clean16=(4, 16000), bandwidth=(6,), reference=(6,)
        )
        assert all(v.dtype == torch.float32 and torch.isfinite(v).all() for v in batch.values())
        assert (batch["reference"] > 0).all() and (batch["bandwidth"] <= 24000).all()
    assert not torch.equal(batches[0]["noisy16"], batches[1]["noisy16"])


@pytest.mark.parametrize("rate", [16000, 48000])
@pytest.mark.parametrize("snr", [-8.0, 0.0, 20.0])
def test_snr_is_the_one_asked_for(mixer, snr, rate):
    m = mixer(snr_mean=snr, snr_spread=0.0)
    made = m.items(rate, 6)
    noise = made["noisy"] - made["clean"]
    got = decibels(m.active_rms(made["clean"], rate) / m.rms(noise))
    assert (got - snr).abs().max() < 0.1


def test_snr_stays_in_its_range(mixer):
    m = mixer(snr_mean=10.0, snr_spread=60.0)
    made = m.items(16000, 40)
    got = decibels(m.active_rms(made["clean"], 16000) / m.rms(made["noisy"] - made["clean"]))
    assert -8.1 < got.min() < -7.9 and 29.9 < got.max() < 30.1


def test_levels_spread_and_pass_full_scale_as_far_as_asked_for(mixer):
    m = mixer()
    made = m.items(16000, 100)
    level = decibels(m.active_rms(made["clean"], 16000))
    assert level.min() < -45 and level.max() > -15 and -34 < level.median() < -20
    peaks = made["noisy"].abs().amax(1)
    assert 1 < peaks.max() <= 3 * 1.0001
    torch.testing.assert_close(made["reference"], m.active_rms(made["clean"], 16000)[:, 0], rtol=1e-4, atol=0)
    assert mixer(peak=0.5).items(16000, 60)["noisy"].abs().max() <= 0.5 * 1.0001


def test_clean_items_are_untouched(mixer):
    made = mixer(p_clean=1.0).items(16000, 8)
    torch.testing.assert_close(made["noisy"], made["clean"], rtol=0, atol=0)
    assert (mix.DeviceMixer.rms(made["clean"]) > 1e-5).all()


def test_noise_only_items_have_a_silent_target(mixer):
    made = mixer(p_noise_only=1.0).items(16000, 8)
    assert not made["clean"].any() and (made["bandwidth"] == 8000).all()
    torch.testing.assert_close(made["reference"], mix.DeviceMixer.rms(made["noisy"])[:, 0], rtol=1e-4, atol=0)


def test_a_room_leaves_the_early_part_in_the_target(mixer):
    made = mixer(p_reverb=1.0, p_clean=1.0).items(16000, 6)
    late = mix.DeviceMixer.rms(made["noisy"] - made["clean"]) / mix.DeviceMixer.rms(made["clean"])
    assert (late > 0.01).all()
    for noisy, clean in zip(made["noisy"].numpy(), made["clean"].numpy()):
        assert np.correlate(noisy, clean[2000:-2000], "valid").argmax() == 2000


def test_digital_silence_or_dither_before_the_first_sound(mixer):
    """With noise so loud that the first sound is where the noise begins."""
    made = mixer(p_silence=1.0, snr_mean=-8.0, snr_spread=0.0).items(16000, 30)
    least = 2**-15
    begin = (made["noisy"].abs() > 8 * least).float().argmax(1)
    assert begin.max() < 0.6 * 16000 + 100 and begin.float().mean() > 0.15 * 16000
    dithered = []
    for noisy, clean, first in zip(made["noisy"], made["clean"], begin):
        before = noisy[: max(int(first) - 100, 0)]
        assert not clean[: len(before)].any()
        if len(before) > 200:
            dithered.append(bool(before.any()))
            assert not dithered[-1] or 0.7 * least < before.square().mean().sqrt() < 1.3 * least
    assert 0.2 < np.mean(dithered) < 0.6
    begin = (mixer(snr_mean=-8.0, snr_spread=0.0).items(16000, 10)["noisy"].abs() > 8 * least).float().argmax(1)
    assert begin.max() < 100


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_talkers_in_turn(mixer, share):
    """With recordings of ones what is left are the gains: 1, the softer talker's, and 0 in pauses."""
    m = mixer(p_turns=share)
    m.played = lambda rate, start, length, at, speed, loop: torch.ones(at.shape)
    heard, _ = m.voices(16000, 40, 48000)
    for x in heard:
        values = set(x.unique().tolist())
        softer = values - {0.0, 1.0}
        assert len(softer) == (1 if share else 0)
        for gain in softer:
            assert -30.01 < 20 * np.log10(gain) < -4.99
            assert (x == gain).float().argmax() <= 0.6 * 48000 + 0.6 * 16000


def test_no_turns_within_babble(mixer):
    m = mixer(p_turns=1.0)
    m.played = lambda rate, start, length, at, speed, loop: torch.ones(at.shape)
    assert set(m.voices(16000, 20, 48000, turns=False)[0].unique().tolist()) <= {0.0, 1.0}


def test_equalisers_and_slopes_are_as_often_as_asked_for(mixer):
    """A soft slope takes the top of voice and noise alike; a voice's equaliser changes its spectrum, not the noise's."""
    top = lambda x: float((torch.fft.rfft(x).abs()[:, -1000:] ** 2).sum() / (torch.fft.rfft(x).abs() ** 2).sum())  # noqa: E731
    bare, sloped = (mixer(p_soft_slope=p, p_clean=1.0).items(16000, 8)["clean"] for p in (0.0, 1.0))
    assert top(sloped) < 0.6 * top(bare)
    bare, sloped = (mixer(p_soft_slope=p, p_noise_only=1.0).items(16000, 8)["noisy"] for p in (0.0, 1.0))
    assert top(sloped / mix.DeviceMixer.rms(sloped)) < 0.6 * top(bare / mix.DeviceMixer.rms(bare))
    bare, other = (mixer(p_eq_voice=p, p_clean=1.0).items(16000, 8)["clean"] for p in (0.0, 1.0))
    assert (bare - other).abs().max() > 0.01


def test_recorded_noises_are_altered_as_often_as_asked_for(mixer):
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((400, 4000)).astype(np.float32))
    assert torch.equal(mixer(p_altered=0.0).altered(16000, x), x)
    y = mixer(p_altered=0.5).altered(16000, x)
    assert torch.isfinite(y).all()
    changed = (y != x).any(1)
    assert 0.4 < changed.float().mean() < 0.6
    backwards = (y == x.flip(1)).all(1)
    assert 0.05 < backwards.float().mean() < 0.2
    assert decibels(y.square().mean().sqrt()).abs() < 6


def test_crossed_noises_lie_side_by_side(mixer):
    """Well below the lowest corner only the first is heard, well above the highest only the second; summed, both everywhere."""
    t = np.arange(16000) / 16000
    tones = torch.from_numpy(np.sin(2 * np.pi * 50 * t) + np.sin(2 * np.pi * 7000 * t)).float().repeat(8, 1)
    for crossed in (1.0, 0.0):
        made = mixer(seed=3, p_noise_only=1.0, p_babble_alone=0.0, p_two_noises=1.0, p_crossed=crossed)
        white = torch.from_numpy(np.random.default_rng(1).standard_normal((8, 16000)).astype(np.float32))
        drawn = iter((tones, white))
        made.noises = lambda rate, count, n, drawn=drawn: next(drawn)
        y = torch.fft.rfft(made.items(16000, 8)["noisy"]).abs()
        low, high = (y[:, f] / y[:, f - 40 : f + 40].median(1).values for f in (50, 7000))
        assert (low > 20).all()
        assert (high < 20).all() if crossed else (high > 20).all()


def test_the_same_seed_makes_the_same_batches(mixer):
    draws = [mixer(seed, p_silence=0.5, p_turns=0.5, p_two_noises=0.5).batches(3, 1, 2)[1] for seed in (4, 4, 5)]
    for name in draws[0]:
        torch.testing.assert_close(draws[0][name], draws[1][name], rtol=0, atol=0)
    assert not torch.equal(draws[0]["noisy16"], draws[2]["noisy16"])


def test_banks_are_kept(banks, tmp_path):
    mix.save_banks(str(tmp_path / "b.npz"), banks)
    again = mix.load_banks(str(tmp_path / "b.npz"))
    assert again.keys() == banks.keys()
    for key in banks:
        np.testing.assert_array_equal(again[key], banks[key])


@pytest.mark.parametrize("speed", [0.8, 1.0, 1.3])
def test_another_speed_is_another_pitch(mixer, speed):
    m = mixer()
    t = torch.arange(20000)
    m.samples = {16000: (torch.sin(2 * np.pi * 2500 / 16000 * t) * 20000).to(torch.int16)}
    at = torch.arange(4000).double()[None] * speed + 1000
    start, length = torch.zeros(1, 1, dtype=torch.long), torch.tensor([[20000]])
    got = m.played(16000, start, length, at, torch.tensor([speed], dtype=torch.float64), False)
    wanted = torch.sin(2 * np.pi * 2500 / 16000 * at) * 20000 / 32768
    assert (got - wanted).norm() < 0.01 * wanted.norm()


PLAY = """
import torch, triton, mix
m = mix.DeviceMixer.__new__(mix.DeviceMixer)
m.device = torch.device("cpu")
torch.manual_seed(0)
m.samples = {16000: (torch.randn(5000) * 8000).to(torch.int16)}
n = 1500
speed = torch.tensor([1.0, 1.3, 0.8], dtype=torch.float64)
at = torch.arange(n).double() * speed[:, None] + torch.tensor([[5.0], [17.0], [-9.5]])
for loop in (False, True):
    start, length = torch.tensor([[0], [1000], [3000]]), torch.tensor([[900], [2200], [400]])
    if not loop:
        start, length = start.expand(3, n), length.expand(3, n)
    wanted = m.played(16000, start, length, at, speed, loop)
    got = torch.empty(3, n)
    tensors = (x.contiguous() for x in (start, length, at, speed))
    mix._play[(3, 2)](m.samples[16000], *tensors, got, n, LOOP=loop, SPREAD=not loop, N=mix.TAPS, BLOCK=1024)
    error = float((got - wanted).abs().max())
    print(loop, error)
    assert error < 1e-5 < float(wanted.abs().max()), (loop, error)
"""


def test_the_kernel_interpolates_as_the_plain_loop():
    pytest.importorskip("triton", reason="Triton is not installed: the GPU's interpolation is not tested")
    env = os.environ | dict(TRITON_INTERPRET="1", OMP_NUM_THREADS="1")
    done = subprocess.run([sys.executable, "-c", PLAY], cwd=TRAIN, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
