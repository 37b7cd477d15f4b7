"""Mixing: SNR, level, silence, bandwidth, repeatability."""

import dataclasses

import numpy as np
import pytest
import soundfile
import torch

import data
from conftest import voice
from data import Batches, Cache, Mixer, Recipe, active_rms, rms

PLAIN = Recipe(
    seconds=2, p_clean=0, p_nearly_clean=0, p_noise_only=0, p_reverb=0, p_eq=0, p_eq_voice=0, p_band_limit=0, p_soft_slope=0, p_turns=0, p_silence=0, p_altered=0, p_two_noises=0, p_synthetic=0, p_rumble=0, p_rumble_clean=0, p_noise_rumble=0,
)


def mixer(cache, **changes):
    return Mixer(Cache(cache, "train"), dataclasses.replace(PLAIN, **changes))


def items(cache, count=12, full=False, **changes):
    mix = mixer(cache, **changes)
    return [mix.item(np.random.default_rng([9, i]), full) for i in range(count)]


def test_cache_keeps_what_was_recorded(corpus, cache):
    kept = Cache(cache, "train")
    assert {i["id"] for i in kept.items["speech", 16000]} == {"voice0", "voice2", "voice4"}
    assert {i["id"] for i in kept.items["speech", 48000]} == {"voice0", "voice2"}  # voice4 holds nothing above 8 kHz
    assert {i["id"] for i in Cache(cache, "valid").items["noise", 48000]} == {"noise2"}
    item = next(i for i in kept.items["speech", 48000] if i["id"] == "voice0")
    x, _ = soundfile.read(corpus / "speech/voice0/0.wav", dtype="float32")
    y = kept.read(item, 48000)
    assert len(x) == len(y)
    np.testing.assert_allclose(y, x / np.abs(x).max() * 0.9, atol=2e-4)
    room = kept.read(kept.items["rir", 48000][0], 48000)
    assert np.abs(room).argmax() == 0  # the way of the direct sound is cut off


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("snr", [-8.0, 0.0, 20.0])
def test_snr_is_the_one_asked_for(cache, snr, full):
    for item in items(cache, full=full, snr_mean=snr, snr_spread=0.0):
        rate = 48000 if full else 16000
        got = 20 * np.log10(active_rms(item["clean"], rate) / rms(item["noisy"] - item["clean"]))
        assert abs(got - snr) < 0.1


@pytest.mark.parametrize("speed", [0.8, 1.0, 1.25])
def test_speed_moves_pitch_and_bandwidth(tmp_path, speed):
    """What was at 9 kHz comes down into the reach of 16 kHz where a recording is played slower, and its bandwidth with it."""
    for split in ("train", "valid"):
        (tmp_path / "in" / split).mkdir(parents=True)
        t = np.arange(4 * 48000) / 48000
        x = sum(0.2 * np.sin(2 * np.pi * f * t) for f in (1000, 9000))
        soundfile.write(tmp_path / "in" / split / "0.wav", x, 48000)
    held = [dict(path=str(p), kind="speech", id=p.parent.name, split=p.parent.name) for p in sorted(tmp_path.rglob("0.wav"))]
    data.prepare([item | dict(bandwidth_hz=10000) for item in held], tmp_path / "cache", 1)
    made = Mixer(Cache(tmp_path / "cache", "train"), PLAIN)
    (item,) = made.cache.items["speech", 16000]
    n = 32000
    x, bandwidth = made.played(item, 16000, speed, 8000, n)
    assert x.shape == (n,) and x.dtype == np.float32
    spectrum = np.abs(np.fft.rfft(x * np.hanning(n)))  # half a hertz apart
    assert np.abs(spectrum.argmax() / 2 - 1000 * speed) <= 1
    loud = spectrum[2 * 6900 : 2 * 7900].max() > spectrum.max() / 10
    assert loud == (speed == 0.8)  # 7.2 kHz
    assert bandwidth == {0.8: 8000, 1.0: 10000, 1.25: 10000}[speed]
    later, _ = made.played(item, 16000, speed, 8000 + 500, n - 500)
    np.testing.assert_allclose(later[200:-200], x[700:-200], atol=0.05)  # the same sound from any sample on
    assert len(made.played(item, 16000, speed, int(64000 / speed) - 10, 10)[0]) == 10


def test_speed_is_changed_as_often_and_as_far_as_asked_for(cache):
    made = mixer(cache, p_speed=0.5)
    drawn = np.log([made.speed(np.random.default_rng(k), 0.3) for k in range(400)])
    assert 150 < (drawn != 0).sum() < 250
    assert -0.3 <= drawn.min() < -0.25 and 0.25 < drawn.max() <= 0.3
    assert mixer(cache, p_speed=0.0).speed(np.random.default_rng(1), 0.3) == 1


def test_a_noise_of_one_sample_is_played_at_any_speed(cache, monkeypatch):
    made = mixer(cache, p_speed=1.0, p_babble=0.0)
    monkeypatch.setattr(made.cache, "pick", lambda rng, kind, rate: dict(at={"16000": (0, 1)}, bandwidth=8000))
    for k in range(20):
        assert made.noise(np.random.default_rng(k), 16000, 100).shape == (100,)


def test_snr_stays_in_its_range(cache):
    got = [
        20 * np.log10(active_rms(i["clean"], 16000) / rms(i["noisy"] - i["clean"]))
        for i in items(cache, 40, snr_mean=10.0, snr_spread=60.0)
    ]
    assert -8.1 < min(got) < -7.9 and 29.9 < max(got) < 30.1


def test_nearly_clean_items_are_as_often_as_asked_for(cache):
    got = [
        20 * np.log10(active_rms(i["clean"], 16000) / rms(i["noisy"] - i["clean"]))
        for i in items(cache, 60, snr_mean=0.0, snr_spread=3.0, p_nearly_clean=0.5)
    ]
    assert 15 < sum(24.9 < x < 50.1 for x in got) < 45
    assert all(x < 12 or x > 24.9 for x in got)


def test_levels_spread_and_pass_full_scale_as_far_as_asked_for(cache):
    made = items(cache, 80)
    level = [20 * np.log10(active_rms(i["clean"], 16000)) for i in made]
    assert min(level) < -45 and max(level) > -15
    peaks = [np.abs(i["noisy"]).max() for i in made]
    assert 1 < max(peaks) <= 3 * 1.0001
    assert max(np.abs(i["noisy"]).max() for i in items(cache, 80, peak=0.5)) <= 0.5 * 1.0001
    for i in made:
        assert i["reference"] == pytest.approx(active_rms(i["clean"], 16000), rel=1e-3)
        assert i["noisy"].dtype == i["clean"].dtype == np.float32


def test_clean_items_are_untouched(cache):
    for item in items(cache, p_clean=1.0):
        np.testing.assert_array_equal(item["noisy"], item["clean"])
        assert rms(item["clean"]) > 0


def test_noise_only_items_have_a_silent_target(cache):
    for item in items(cache, p_noise_only=1.0):
        assert not item["clean"].any()
        assert item["reference"] == pytest.approx(rms(item["noisy"]), rel=1e-3)


def test_babble_alone_is_as_often_as_asked_for(cache, monkeypatch):
    calls = []
    monkeypatch.setattr(Mixer, "babble", lambda self, rng, rate, n: calls.append(n) or rng.standard_normal(n).astype(np.float32))
    for share, expected in ((0.0, 0), (1.0, 20)):
        calls.clear()
        made = mixer(cache, p_noise_only=1.0, p_babble=0.0, p_babble_alone=share)
        for k in range(20):
            assert not made.item(np.random.default_rng(k), False)["clean"].any()
        assert len(calls) == expected


def test_a_voice_keeps_its_rumble(cache):
    below = lambda x: 20 * np.log10(rms(np.fft.irfft(np.fft.rfft(x)[:60], len(x))))  # 30 Hz  # noqa: E731
    heard = lambda **some: [below(item["clean"] / item["reference"]) for item in items(cache, **some)]  # noqa: E731
    for item in items(cache, p_clean=1.0, p_rumble_clean=1.0):
        np.testing.assert_array_equal(item["noisy"], item["clean"])
    for clean, its_own, other in ((1.0, "p_rumble_clean", "p_rumble"), (0.0, "p_rumble", "p_rumble_clean")):
        rumbling, bare = heard(p_clean=clean, **{its_own: 1.0}), heard(p_clean=clean, **{other: 1.0})
        assert min(rumbling) > -45
        assert np.mean(rumbling) > np.mean(bare) + 6


def test_a_room_leaves_the_early_part_in_the_target(cache):
    """With a room the noiseless input holds more than the target, and both hold the direct sound at the same place."""
    item = items(cache, 1, p_reverb=1.0, p_clean=1.0)[0]
    assert rms(item["noisy"] - item["clean"]) > 0.01 * rms(item["clean"])
    lag = np.correlate(item["noisy"], item["clean"][2000:-2000], "valid").argmax()
    assert lag == 2000


def test_every_kind_of_item_is_finite(cache):
    busy = dict(p_reverb=0.7, p_eq=1.0, p_eq_voice=0.5, p_soft_slope=0.5, p_turns=0.5, p_silence=0.5, p_band_limit=0.5, p_babble=0.3, p_synthetic=0.5, p_two_noises=0.5, seconds=0.7)
    for full in (False, True):
        for item in items(cache, 40, full=full, **busy):
            assert np.isfinite(item["noisy"]).all() and np.isfinite(item["clean"]).all()
            assert item["reference"] > 0


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_talkers_in_turn(cache, monkeypatch, share):
    """With recordings of ones what is left are the gains: 1, the softer talker's, and 0 in pauses."""
    made = mixer(cache, p_turns=share)
    monkeypatch.setattr(made, "played", lambda item, rate, speed, first, n: (np.ones(n, np.float32), 8000))
    for k in range(30):
        x, _ = made.voice(np.random.default_rng(k), 16000, 48000, turns=True)
        softer = set(np.unique(x)) - {0.0, 1.0}
        assert len(softer) == share
        for gain in softer:
            assert -30.01 < 20 * np.log10(gain) < -4.99
            assert np.argmax(x == gain) <= 0.6 * 48000 + 0.6 * 16000
        assert set(np.unique(made.voice(np.random.default_rng(k), 16000, 48000)[0])) <= {0.0, 1.0}  # as in babble


def test_digital_silence_or_dither_before_the_first_sound(cache):
    least, dithered = 2**-15, []
    for item in items(cache, 40, p_silence=1.0, snr_mean=-8.0, snr_spread=0.0):
        first = np.argmax(np.abs(item["noisy"]) > 8 * least)
        assert first < 0.6 * 32000 + 100 and not item["clean"][: max(first - 100, 0)].any()
        if first > 300:
            before = item["noisy"][: first - 100]
            if np.abs(item["noisy"]).max() > 2.99:  # turned down as a whole
                continue
            dithered.append(before.any())
            assert not before.any() or 0.7 * least < rms(before) < 1.3 * least
        assert item["reference"] > 1e-5
    assert len(dithered) > 20 and 0.2 < np.mean(dithered) < 0.6
    assert all(np.argmax(np.abs(i["noisy"]) > 8 * least) < 100 for i in items(cache, snr_mean=-8.0, snr_spread=0.0))


def test_a_soft_slope_takes_the_top_of_voice_and_noise(cache):
    def top(x):
        power = np.abs(np.fft.rfft(x)) ** 2
        return power[-2000:].sum() / power.sum()

    for name, some in (("clean", dict(p_clean=1.0)), ("noisy", dict(p_noise_only=1.0))):
        bare, sloped = (np.mean([top(i[name]) for i in items(cache, p_soft_slope=p, **some)]) for p in (0.0, 1.0))
        assert sloped < 0.6 * bare


def test_voices_and_noises_have_equalisers_of_their_own(cache):
    of = lambda name, **some: np.stack([i[name] / i["reference"] for i in items(cache, 6, **some)])  # noqa: E731
    voice_alone, noise_alone = dict(p_clean=1.0), dict(p_noise_only=1.0)
    assert np.abs(of("clean", **voice_alone, p_eq_voice=1.0) - of("clean", **voice_alone)).max() > 0.1
    np.testing.assert_allclose(of("clean", **voice_alone, p_eq=1.0), of("clean", **voice_alone), atol=1e-4)
    assert np.abs(of("noisy", **noise_alone, p_eq=1.0) - of("noisy", **noise_alone)).max() > 0.1


@pytest.mark.parametrize("rate", [16000, 48000])
def test_synthetic_rooms_are_finite_for_any_draw(rate):
    for seed in range(60):
        room = data.synthetic_room(np.random.default_rng(seed), rate)
        assert np.isfinite(room).all() and room[0] == 1


def test_recorded_noises_are_altered_as_often_as_asked_for(cache, monkeypatch):
    calls = []
    monkeypatch.setattr(data, "altered", lambda rng, x, rate: calls.append(len(x)) or x)
    for share, least, most in ((0.0, 0, 0), (0.5, 10, 30), (1.0, 40, 40)):
        calls.clear()
        made = mixer(cache, p_altered=share, p_babble=0.0)
        for k in range(40):
            made.noise(np.random.default_rng(k), 16000, 8000)
        assert least <= len(calls) <= most and set(calls) <= {8000}


def test_two_noises_are_crossed_as_often_as_asked_for(cache, monkeypatch):
    calls = []
    monkeypatch.setattr(data, "crossed", lambda rng, x, y, rate: calls.append(1) or x)
    for share, expected in ((0.0, 0), (1.0, 12)):
        calls.clear()
        items(cache, p_two_noises=1.0, p_crossed=share)
        assert len(calls) == expected


def test_batches_depend_on_the_step_alone(cache):
    stream = iter(Batches(cache, "train", PLAIN, 3, seed=4))
    next(stream)
    later = iter(Batches(cache, "train", PLAIN, 3, seed=4, start=1))
    other = iter(Batches(cache, "train", PLAIN, 3, seed=4, rank=1, start=1))
    a, b, c = next(stream), next(later), next(other)
    assert a.keys() == b.keys()
    for k in a:
        torch.testing.assert_close(a[k], b[k], rtol=0, atol=0)
    assert not torch.equal(a["noisy48"], c["noisy48"])


def test_folders_need_no_manifest(tmp_path, rng):
    for i in range(3):
        soundfile.write(tmp_path / f"{i}.wav", voice(rng, 1, 48000), 48000)
    found = data.list_folders({"speech": [str(tmp_path)]})
    assert sorted(i["split"] for i in found) == ["train", "train", "valid"]
    with pytest.raises(SystemExit, match="no audio files"):
        (tmp_path / "empty").mkdir()
        data.list_folders({"noise": [str(tmp_path / "empty")]})


def test_broken_files_are_left_out(tmp_path, rng, capsys):
    soundfile.write(tmp_path / "good.wav", voice(rng, 1, 48000), 48000)
    (tmp_path / "broken.wav").write_bytes(b"RIFF....WAVE")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0, np.float32), 48000)
    data.prepare(data.list_folders({"speech": [str(tmp_path)]}), str(tmp_path / "cache"), 1)
    said = capsys.readouterr().out
    assert "broken.wav" in said and "empty.wav" in said and "left out: 2" in said


def test_bandwidth_is_measured(rng):
    x = rng.standard_normal(48000)
    spectrum = np.fft.rfft(x)
    spectrum[9000:] = 0
    got = data.measure_bandwidth(np.fft.irfft(spectrum), 48000)
    assert 9000 <= got < 9500
