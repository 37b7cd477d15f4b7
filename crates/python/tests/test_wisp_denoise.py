"""The installed package. `cargo xtask test wheel` also holds it against the command line."""

import importlib.metadata
import inspect
import json
import math
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import wisp_denoise
from wisp_denoise import PRESETS, Denoiser, denoise


def sound(samples, channels=1):
    """A hum with bursts of noise, shape (channels, samples)."""
    random = np.random.default_rng(channels)
    n = np.arange(samples)
    level = np.where(n % 9_000 < 3_000, 0.1, 0.005)
    return (0.2 * np.sin(0.02 * n) + level * random.standard_normal((channels, samples))).astype(np.float32)


MONO = sound(24_000)[0]
STEREO = sound(24_000, 2)


def same(a, b):
    """To the bit."""
    return a.dtype == b.dtype == np.float32 and a.shape == b.shape and a.tobytes() == b.tobytes()


def power(x):
    return np.mean(x.astype(float) ** 2)


def test_noise_is_removed():
    noise = (0.05 * np.random.default_rng(0).standard_normal(96_000)).astype(np.float32)
    clean = denoise(noise, 48_000)
    # 24 dB, once the noise is known.
    assert power(clean[48_000:]) < 10**-2.3 * power(noise[48_000:])
    assert power(denoise(noise, 48_000, reduction_db=math.inf)[48_000:]) < 1e-4 * power(noise)


@pytest.mark.parametrize("quality", ["live", "studio"])
@pytest.mark.parametrize("rate, channels", [(48_000, 1), (44_100, 2), (11_025, 1), (8_000, 5)])
def test_the_block_size_changes_no_bit(rate, channels, quality):
    audio = sound(rate, channels)
    whole = denoise(audio, rate, quality=quality)
    assert whole.flags.c_contiguous
    live = Denoiser(rate, channels, quality=quality)
    aligned = Denoiser(rate, channels, quality=quality, aligned=True)
    late, exact, at = [], [], 0
    random = np.random.default_rng(1)
    while at < audio.shape[1]:
        block = audio[:, at : at + random.integers(0, 900)]
        before = block.copy()
        late.append(live.process(block))
        assert late[-1].shape == block.shape and same(block, before)
        exact.append(aligned.process(block))
        at += block.shape[1]
    late.append(live.flush())
    exact.append(aligned.flush())
    assert same(np.concatenate(exact, axis=1), whole)
    late = np.concatenate(late, axis=1)
    assert same(late[:, live.latency :], whole)
    # After the end the next recording begins as the first did.
    assert same(np.concatenate((aligned.process(audio), aligned.flush()), axis=1), whole)
    assert same(live.process(audio), late[:, : audio.shape[1]])


def test_a_long_block_is_as_good_as_short_ones():
    audio = sound(150_000)[0]
    denoiser = Denoiser(48_000)
    blocks = [denoiser.process(block) for block in np.split(audio, range(480, 150_000, 480))]
    assert same(Denoiser(48_000).process(audio), np.concatenate(blocks))


@pytest.mark.parametrize("quality", ["live", "studio"])
@pytest.mark.parametrize("samples", [1, 100, 959, 960, 961, 2_879, 2_880, 2_881])
def test_shorter_than_the_latency(samples, quality):
    audio = MONO[:samples]
    whole = denoise(audio, 48_000, quality=quality)
    assert whole.shape == audio.shape
    denoiser = Denoiser(48_000, quality=quality, aligned=True)
    assert same(np.concatenate((denoiser.process(audio), denoiser.flush())), whole)
    # At 0 dB the input comes back.
    assert same(denoise(audio, 48_000, quality=quality, reduction_db=0), audio)


@pytest.mark.parametrize("quality, windows", [("live", 1), ("studio", 3)])
def test_the_latency_is_what_it_says(quality, windows):
    for rate, window in [(8_000, 160), (11_025, 220), (44_100, 882), (48_000, 960), (384_000, 7_680)]:
        denoiser = Denoiser(rate, quality=quality, bypass=True)
        latency = windows * window
        assert denoiser.latency == latency
        audio = np.concatenate((MONO[:100], np.zeros(latency, np.float32)))
        assert same(denoiser.process(audio)[latency:], audio[:100])


def test_qualities():
    live, studio = (denoise(STEREO, 44_100, quality=quality) for quality in ("live", "studio"))
    assert not same(live, studio)
    # Studio for recordings, Live for streams.
    assert same(denoise(STEREO, 44_100), studio)
    assert Denoiser(44_100, 2).quality == Denoiser(44_100, 2, aligned=True).quality == "live"
    stream = Denoiser(44_100, 2, aligned=True)
    assert same(np.concatenate((stream.process(STEREO), stream.flush()), axis=1), live)
    denoiser = Denoiser(44_100, 2, quality="studio")
    assert (denoiser.quality, denoiser.latency) == ("studio", 3 * 882)
    with pytest.raises(AttributeError):
        denoiser.quality = "live"


def test_shapes():
    clean = denoise(MONO, 48_000)
    assert same(denoise(MONO[np.newaxis], 48_000), clean[np.newaxis])
    assert same(denoise(MONO.tolist(), 48_000), clean)
    both = denoise(STEREO, 48_000)
    assert same(denoise(np.asfortranarray(STEREO), 48_000), both)
    assert same(denoise(np.repeat(STEREO, 2, axis=1)[:, ::2], 48_000), both)
    assert same(denoise(STEREO.T.copy().T, 48_000), both)
    assert denoise(np.zeros((64, 10), np.float32), 48_000).shape == (64, 10)
    # The end has the shape of what came before.
    denoiser = Denoiser(48_000, quality="studio", aligned=True)
    for audio, expected in [(MONO, clean), (MONO[np.newaxis], clean[np.newaxis])]:
        assert same(np.concatenate((denoiser.process(audio), denoiser.flush()), axis=-1), expected)
    assert Denoiser(48_000).flush().shape == (960,)
    assert Denoiser(48_000, 2).flush().shape == (2, 960)
    assert Denoiser(48_000, 2).process(np.zeros((2, 0), np.float32)).shape == (2, 0)


def test_types_of_samples():
    clean = denoise(MONO, 48_000)
    assert same(denoise(MONO.astype(np.float64), 48_000), clean)
    assert same(denoise(MONO.astype(">f4"), 48_000), clean)
    half = MONO.astype(np.float16)
    assert same(denoise(half, 48_000), denoise(half.astype(np.float32), 48_000))
    frozen = MONO.copy()
    frozen.flags.writeable = False
    assert same(denoise(frozen, 48_000), clean)
    assert same(denoise(MONO, np.int64(48_000)), clean) and same(denoise(MONO, 48_000.0), clean)


def test_a_stream_survives_nan():
    denoiser, other = Denoiser(48_000), Denoiser(48_000)
    broken, silent = MONO.copy(), MONO.copy()
    broken[[100, 5_000, 5_001]] = [math.nan, math.inf, -math.inf]
    silent[[100, 5_000, 5_001]] = 0
    assert same(denoiser.process(broken), other.process(silent))


SETTINGS = [
    ("reduction_db", 24, math.inf),
    ("reduction_db", 24, 0.1),
    ("sensitivity_db", 0, -12),
    ("ambience", 0, 0.05),
    ("output_db", 0, -6.5),
    ("removed", False, True),
    ("stereo", "linked", "independent"),
    ("bypass", False, True),
]


@pytest.mark.parametrize("name, default, value", SETTINGS)
def test_settings(name, default, value):
    denoiser = Denoiser(48_000, 2)
    assert getattr(denoiser, name) == default
    plain = denoiser.process(STEREO)
    denoiser.reset()
    setattr(denoiser, name, value)
    assert getattr(denoiser, name) == value
    changed = denoiser.process(STEREO)
    assert not same(changed, plain)
    assert same(Denoiser(48_000, 2, **{name: value}).process(STEREO), changed)
    if name != "bypass":
        aligned = denoise(STEREO, 48_000, quality="live", **{name: value})
        assert same(aligned[:, :-960], changed[:, 960:])
    # Kept over a reset, until it is set back.
    denoiser.reset()
    assert same(denoiser.process(STEREO), changed)
    denoiser.reset()
    setattr(denoiser, name, default)
    assert same(denoiser.process(STEREO), plain)


def test_the_defaults_are_documented():
    text = inspect.getdoc(denoise)
    denoiser = Denoiser(48_000)
    for name in ["reduction_db", "sensitivity_db", "ambience", "output_db"]:
        line = text.split(f"{name}: ")[1].split("\n")[0]
        assert line.endswith(f"[{getattr(denoiser, name):g}]."), line
    assert f'["{denoiser.quality}"]' in inspect.getdoc(Denoiser.__init__)
    assert '["studio"]' in text


def test_a_setting_does_not_wait_for_a_block():
    denoiser, audio = Denoiser(48_000), sound(10 * 48_000)[0]
    thread = threading.Thread(target=denoiser.process, args=(audio,))
    thread.start()
    changes = 0
    while thread.is_alive():
        denoiser.ambience = changes % 2
        changes += 1
    thread.join()
    assert changes > 100


def test_presets(tmp_path):
    assert list(PRESETS) == ["Voice-over", "Podcast", "Streaming mic", "Phone call", "Noisy room", "Gentle"]
    assert all(purpose.endswith(".") for purpose in PRESETS.values())
    with pytest.raises(TypeError):
        PRESETS["Podcast"] = ""
    denoiser = Denoiser(48_000, output_db=-3, preset="podcast")
    values = denoiser.reduction_db, denoiser.sensitivity_db, denoiser.ambience, denoiser.output_db
    assert values == (24, 3, 0.03, -3)
    assert Denoiser(48_000, preset="Gentle", reduction_db=9).reduction_db == 9
    denoiser.use_preset("Voice-over")
    assert (denoiser.reduction_db, denoiser.ambience, denoiser.output_db) == (18, 0, -3)
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"wisp": 1, "reduction": "Full", "ambience": "7 %", "stereo": "Independent"}))
    for path in file, str(file):
        denoiser = Denoiser(48_000, 2, preset=path)
        assert (denoiser.reduction_db, denoiser.ambience, denoiser.stereo) == (math.inf, 0.07, "independent")
    # All of a preset or nothing.
    file.write_text(json.dumps({"wisp": 1, "reduction": "9 dB", "ambience": "much"}))
    with pytest.raises(ValueError, match='mine.json: ambience: "much" is not valid'):
        denoiser.use_preset(file)
    assert denoiser.reduction_db == math.inf
    file.write_bytes(b"\xff")
    with pytest.raises(ValueError, match="mine.json: "):
        denoiser.use_preset(file)


def test_channels_pass_through():
    audio = sound(24_000, 3)
    clean = denoise(audio, 48_000, pass_through=[1])
    assert same(clean[1], audio[1])
    assert same(clean[::2], denoise(audio[::2], 48_000))
    assert same(denoise(audio, 48_000, pass_through=range(3)), audio)


@pytest.mark.parametrize("quality", ["live", "studio"])
def test_weights(quality):
    file = Path(__file__).parents[3] / "bundled" / f"{quality}.safetensors"
    assert same(denoise(MONO, 48_000, weights=file), denoise(MONO, 48_000, quality=quality))
    denoiser = Denoiser(48_000, weights=file)
    assert denoiser.quality is None
    assert denoiser.latency == Denoiser(48_000, quality=quality).latency


ERRORS = [
    (ValueError, "rate is 7999 Hz, expected 8000 to 384000 Hz", lambda: denoise(MONO, 7_999)),
    (ValueError, "rate is -1 Hz", lambda: Denoiser(-1)),
    (ValueError, "rate is 384001 Hz", lambda: Denoiser(384_001)),
    (TypeError, "rate is 44100.5, expected a whole number", lambda: denoise(MONO, 44_100.5)),
    (TypeError, "rate is nan", lambda: denoise(MONO, math.nan)),
    (TypeError, "rate is '48000'", lambda: denoise(MONO, "48000")),
    (ValueError, "channels is 0, expected 1 to 64", lambda: Denoiser(48_000, 0)),
    (ValueError, "channels is 65", lambda: Denoiser(48_000, 65)),
    (
        TypeError,
        "samples are int16, expected floats with full scale at 1; divide int16 by 32768",
        lambda: denoise(np.zeros(9, np.int16), 48_000),
    ),
    (TypeError, "samples are complex64", lambda: denoise(np.zeros(9, np.complex64), 48_000)),
    (TypeError, "samples are bool", lambda: Denoiser(48_000).process(np.zeros(9, bool))),
    (TypeError, "samples are object", lambda: denoise(None, 48_000)),
    (ValueError, "audio is empty", lambda: denoise(np.zeros(0), 48_000)),
    (ValueError, "audio is empty", lambda: denoise(np.zeros((2, 0)), 48_000)),
    (
        ValueError,
        "shape (0, 2), expected (channels, samples) with 1 to 64 channels: transpose",
        lambda: denoise(np.zeros((0, 2)), 48_000),
    ),
    (
        ValueError,
        "shape (48000, 2), expected (channels, samples) with 1 to 64 channels: transpose",
        lambda: denoise(np.zeros((48_000, 2)), 48_000),
    ),
    (ValueError, "shape (2, 3, 4)", lambda: denoise(np.zeros((2, 3, 4)), 48_000)),
    (ValueError, "shape ()", lambda: denoise(0.5, 48_000)),
    (
        ValueError,
        "audio has NaN or infinity in 2 of 8 samples; the first is sample 2 of channel 1",
        lambda: denoise([[0.0, 0.1, 0.2, 0.3], [0.0, 0.1, math.nan, math.inf]], 48_000),
    ),
    (
        ValueError,
        "shape (2, 9), expected (samples,) or (1, samples)",
        lambda: Denoiser(48_000).process(np.zeros((2, 9))),
    ),
    (ValueError, "shape (9,), expected (2, samples)", lambda: Denoiser(48_000, 2).process(np.zeros(9))),
    (ValueError, "reduction_db is -1, expected 0 to inf", lambda: denoise(MONO, 48_000, reduction_db=-1)),
    (ValueError, "sensitivity_db is 13, expected -12 to 12", lambda: Denoiser(48_000, sensitivity_db=13)),
    (ValueError, "ambience is NaN, expected 0 to 1", lambda: Denoiser(48_000, ambience=math.nan)),
    (ValueError, "output_db is 99", lambda: setattr(Denoiser(48_000), "output_db", 99)),
    (TypeError, "", lambda: Denoiser(48_000, reduction_db="18")),
    (ValueError, "stereo is 'split', expected 'linked' or 'independent'", lambda: Denoiser(48_000, 2, stereo="split")),
    (ValueError, "quality is 'best', expected 'live' or 'studio'", lambda: denoise(MONO, 48_000, quality="best")),
    (ValueError, "quality is 'Live', expected 'live' or 'studio'", lambda: Denoiser(48_000, quality="Live")),
    (ValueError, "quality is 2, expected", lambda: Denoiser(48_000, quality=2)),
    (
        ValueError,
        "quality is 'live', but weights names a file: give one of them",
        lambda: denoise(MONO, 48_000, quality="live", weights="none"),
    ),
    (ValueError, "pass_through has 2, expected 0 to 1", lambda: Denoiser(48_000, 2, pass_through=[2])),
    (
        ValueError,
        "preset is 'Podcasts', expected Voice-over, Podcast",
        lambda: denoise(MONO, 48_000, preset="Podcasts"),
    ),
    (FileNotFoundError, "none.json", lambda: Denoiser(48_000, preset="none.json")),
    (FileNotFoundError, "none", lambda: Denoiser(48_000, weights="none")),
    (ValueError, "test_wisp_denoise.py: not a complete safetensors file", lambda: Denoiser(48_000, weights=__file__)),
    (TypeError, "", lambda: Denoiser(48_000, 1, True)),
]


@pytest.mark.parametrize("error, part, call", ERRORS)
def test_errors_say_what_is_wrong(error, part, call):
    with pytest.raises(error) as caught:
        call()
    assert part in str(caught.value)


def test_other_threads_run_meanwhile():
    interval = sys.getswitchinterval()
    # So long that a thread gives way only where it says so.
    sys.setswitchinterval(1_000)
    started, seen, done = threading.Event(), 0, False
    audio, results = sound(10 * 48_000)[0], []

    def work():
        nonlocal done
        started.set()
        results.append(Denoiser(48_000).process(audio))
        done = True

    try:
        thread = threading.Thread(target=work)
        thread.start()
        started.wait()
        while not done:
            seen += 1
            threading.Event().wait(0.001)
        thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert seen > 5
    assert same(results[0], Denoiser(48_000).process(audio))


def test_threads_share_nothing():
    results = [None] * 4

    def work(i):
        results[i] = denoise(STEREO, 48_000)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(results))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = denoise(STEREO, 48_000)
    assert all(same(result, expected) for result in results)


def test_tools_find_types_documentation_and_licences():
    folder = os.path.dirname(wisp_denoise.__file__)
    assert {"py.typed", "_wisp.pyi"} <= set(os.listdir(folder))
    public = [member for name, member in inspect.getmembers(Denoiser) if not name.startswith("_")]
    assert all(member.__doc__ for member in public + [denoise, Denoiser, wisp_denoise])
    assert wisp_denoise.__version__ == importlib.metadata.version("wisp-denoise")
    files = [str(file) for file in importlib.metadata.files("wisp-denoise")]
    for name in ["LICENSE-MIT", "LICENSE-APACHE", "THIRD-PARTY-LICENSES.md"]:
        assert any(file.endswith(name) for file in files), name
    assert repr(Denoiser(48_000, 2)) == "<wisp_denoise.Denoiser: 48000 Hz, channels: 2, live>"
