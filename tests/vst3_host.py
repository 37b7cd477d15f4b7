"""The built VST3 in a real host (JUCE, through pedalboard).

WISP_VST3 names the bundle; WISP_SPEECH may name a clean recording (WAV, one voice, with pauses),
otherwise espeak-ng speaks one.
"""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pedalboard import load_plugin

BUNDLE = os.environ.get(
    "WISP_VST3", str(Path(__file__).parents[1] / "target" / "bundled" / "wisp.vst3")
)
TEXT = (
    "This is a voice in a noisy room. Every word should stay, and the noise should go. "
    "One, two, three, four, five, six, seven."
)


def db(ratio):
    return 20 * np.log10(np.maximum(ratio, 1e-12))


def rms(x):
    return float(np.sqrt(np.mean(np.square(np.asarray(x, dtype=np.float64)))))


def difference_db(a, b):
    return float(db(rms(np.asarray(a) - np.asarray(b)) / max(rms(b), 1e-12)))


@pytest.fixture(scope="session")
def speech_file(tmp_path_factory):
    given = os.environ.get("WISP_SPEECH")
    if given:
        return Path(given)
    program = shutil.which("espeak-ng")
    assert program, "install espeak-ng, or name a recording by WISP_SPEECH"
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    subprocess.run([program, "-v", "en-gb", "-s", "140", "-w", str(path), TEXT], check=True)
    return path


@pytest.fixture(scope="session")
def speech(speech_file):
    """-> a function from sample rate to clean voice: float32, peak 0.4, with pauses around it."""
    samples, rate = soundfile.read(speech_file, dtype="float32", always_2d=True)
    mono = samples[:, 0] / np.abs(samples[:, 0]).max() * 0.4

    def at(wanted):
        length = int(len(mono) * wanted / rate)
        # Resample by cutting or padding the spectrum.
        spectrum = np.fft.rfft(mono)
        bins = length // 2 + 1
        resized = np.zeros(bins, dtype=complex)
        count = min(bins, len(spectrum))
        resized[:count] = spectrum[:count]
        voice = np.fft.irfft(resized, length) * (length / len(mono))
        pause = np.zeros(wanted)
        return np.concatenate([pause, voice, pause]).astype(np.float32)

    return at


def noise(length, rate, seed=1):
    """Steady noise with hum, falling with frequency; RMS 1."""
    random = np.random.default_rng(seed)
    spectrum = np.fft.rfft(random.standard_normal(length))
    frequency = np.fft.rfftfreq(length, 1 / rate)
    spectrum /= np.sqrt(np.maximum(frequency, 100))
    made = np.fft.irfft(spectrum, length)
    made = made / rms(made) + 0.3 * np.sin(2 * np.pi * 100 * np.arange(length) / rate)
    return made.astype(np.float32)


@pytest.fixture
def plugin():
    return load_plugin(BUNDLE)


def stereo(rate, seconds=1.0):
    left = 0.1 * noise(int(rate * seconds), rate, 1)
    right = 0.1 * noise(int(rate * seconds), rate, 2)
    return np.stack([left, right])


def test_it_loads_as_an_effect_with_its_parameters(plugin):
    assert plugin.name == "Wisp"
    assert plugin.is_effect and not plugin.is_instrument
    assert plugin.manufacturer_name == "Wisp"
    assert {"reduction", "sensitivity", "ambience", "output", "listen", "stereo", "bypass"} <= set(plugin.parameters)
    assert plugin.parameters["reduction"].string_value == "24 dB"
    assert plugin.parameters["output"].string_value == "0 dB"
    assert plugin.parameters["listen"].string_value == "Result"
    assert plugin.parameters["stereo"].string_value == "Linked"
    assert plugin.parameters["quality"].string_value == "Live"
    plugin.parameters["reduction"].raw_value = 24 / 61
    assert plugin.parameters["reduction"].string_value == "24 dB"
    plugin.parameters["sensitivity"].raw_value = 0.75
    assert plugin.parameters["sensitivity"].string_value == "+6 dB"
    plugin.parameters["ambience"].raw_value = 0.25
    assert plugin.parameters["ambience"].string_value == "25 %"
    plugin.parameters["output"].raw_value = 0.25
    assert plugin.parameters["output"].string_value == "-12 dB"


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000, 96_000])
def test_latency_is_reported(plugin, rate):
    plugin.process(stereo(rate, 0.2), rate)
    assert 0 < plugin.reported_latency_samples <= rate // 50 + 1


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000, 96_000])
def test_each_quality_has_its_latency_and_nulls(plugin, rate):
    plugin.parameters["reduction"].raw_value = 0.0
    sound = stereo(rate, 0.5)
    hop = (rate + 50) // 100
    for quality, name, hops in [(1.0, "Studio", 6), (0.0, "Live", 2), (1.0, "Studio", 6)]:
        plugin.parameters["quality"].raw_value = quality
        assert plugin.parameters["quality"].string_value == name
        # The host compensates for the reported latency, so a wrong one would not null.
        assert difference_db(plugin.process(sound, rate), sound) < -120, name
        assert plugin.reported_latency_samples == hops * hop, name


def test_a_change_in_mid_sound_moves_nothing(plugin):
    plugin.parameters["reduction"].raw_value = 0.0
    sound = stereo(48_000, 0.6)
    half = sound.shape[1] // 2
    first = plugin.process(sound[:, :half], 48_000, reset=False)
    plugin.parameters["quality"].raw_value = 1.0
    second = plugin.process(sound[:, half:], 48_000, reset=False)
    # Without a reset this host does not compensate.
    both = np.concatenate([first, second], axis=1)
    assert difference_db(both[:, 960:], sound[:, :-960]) < -120
    assert plugin.reported_latency_samples == 960
    # The host starts afresh.
    assert difference_db(plugin.process(sound, 48_000), sound) < -120
    assert plugin.reported_latency_samples == 2880


def test_a_session_in_studio_is_right_from_its_first_render_in_any_thread():
    first = load_plugin(BUNDLE)
    first.parameters["reduction"].raw_value = 0.0
    first.parameters["quality"].raw_value = 1.0
    first.process(stereo(48_000, 0.1), 48_000)
    state = first.raw_state
    for rate in [16_000, 44_100, 48_000]:
        sound = stereo(rate, 0.5)
        opened = load_plugin(BUNDLE)
        opened.raw_state = state
        assert opened.parameters["quality"].string_value == "Studio"
        with ThreadPoolExecutor(1) as pool:
            rendered = pool.submit(opened.process, sound, rate).result()
        assert difference_db(rendered, sound) < -120, rate
        assert opened.reported_latency_samples == 6 * rate // 100


def test_a_change_from_another_thread_nulls_too(plugin):
    plugin.parameters["reduction"].raw_value = 0.0
    sound = stereo(48_000, 0.4)

    def render():
        # This host hands over what another thread sets with the first block, when the plugin runs already.
        plugin.parameters["quality"].raw_value = 1.0
        return [(plugin.process(sound, 48_000), plugin.reported_latency_samples) for _ in range(2)]

    with ThreadPoolExecutor(1) as pool:
        rendered = pool.submit(render).result()
    for out, _ in rendered:
        assert difference_db(out, sound) < -120
    assert rendered[-1][1] == 2880


@pytest.mark.parametrize("channels", [1, 2])
def test_every_block_size_gives_the_same_sound(plugin, channels):
    sound = stereo(48_000)[:channels]
    whole = plugin.process(sound, 48_000, buffer_size=512)
    assert whole.shape == sound.shape
    assert np.isfinite(whole).all()
    for size in [1, 64, 333, 4096]:
        assert np.array_equal(plugin.process(sound, 48_000, buffer_size=size), whole), size


@pytest.mark.parametrize("rate", [44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_bypass_nulls_against_the_input(plugin, rate, channels):
    plugin.parameters["bypass"].raw_value = 1.0
    sound = stereo(rate)[:channels]
    # The host compensates for the reported latency, so a wrong one would not null.
    assert difference_db(plugin.process(sound, rate), sound) < -120


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
def test_reduction_0_nulls_against_the_input(plugin, rate):
    plugin.parameters["reduction"].raw_value = 0.0
    plugin.parameters["sensitivity"].raw_value = 1.0
    plugin.parameters["ambience"].raw_value = 0.5
    sound = stereo(rate)
    assert difference_db(plugin.process(sound, rate), sound) < -120


@pytest.mark.parametrize(
    "name, edge",
    [
        ("reduction", 0.0),
        ("reduction", 60 / 61),
        ("reduction", 1.0),
        ("sensitivity", 0.0),
        ("sensitivity", 1.0),
        ("ambience", 0.0),
        ("ambience", 1.0),
        ("stereo", 0.0),
        ("stereo", 1.0),
    ],
)
def test_every_edge_nulls(plugin, name, edge):
    plugin.parameters[name].raw_value = edge
    sound = stereo(48_000, 0.5)
    result = plugin.process(sound, 48_000)
    plugin.parameters["listen"].raw_value = 1.0
    removed = plugin.process(sound, 48_000)
    assert difference_db(result + removed, sound) < -110
    plugin.parameters["output"].raw_value = 1.0
    plugin.parameters["bypass"].raw_value = 1.0
    assert difference_db(plugin.process(sound, 48_000), sound) < -120


@pytest.mark.parametrize("edge, gain_db", [(0.0, -24), (1.0, 24)])
def test_output_is_a_gain_at_its_edges(plugin, edge, gain_db):
    plugin.parameters["reduction"].raw_value = 0.0
    plugin.parameters["output"].raw_value = edge
    sound = stereo(48_000, 0.5)
    assert difference_db(plugin.process(sound, 48_000), sound * 10 ** (gain_db / 20)) < -120


def test_mono_is_the_left_of_equal_channels(plugin):
    plugin.parameters["sensitivity"].raw_value = 0.7
    plugin.parameters["ambience"].raw_value = 0.2
    sound = stereo(48_000)[:1]
    mono = plugin.process(sound, 48_000)
    both = plugin.process(np.repeat(sound, 2, axis=0), 48_000)
    assert np.array_equal(both[0], both[1])
    assert difference_db(both[0], mono[0]) < -80


@pytest.mark.parametrize("name", ["reduction", "sensitivity", "ambience", "output", "listen", "bypass"])
def test_automation_does_not_click(plugin, name):
    rate = 48_000
    time = np.arange(rate) / rate
    tone = (0.25 * np.sin(2 * np.pi * 110 * time)).astype(np.float32)
    steepest = float(np.abs(np.diff(tone)).max())
    sound = np.stack([tone, tone])
    if name in ("output", "bypass"):
        plugin.parameters["reduction"].raw_value = 0.0
    out = []
    for i, start in enumerate(range(0, rate, 480)):
        # Up and down in steps of 10 ms, with occasional jumps.
        place = abs(i % 20 - 10) / 10 if i % 7 else float(i % 2)
        plugin.parameters[name].raw_value = 0.25 + 0.5 * place if name == "output" else place
        out.append(plugin.process(sound[:, start : start + 480], rate, reset=False))
    out = np.concatenate([block for block in out if block.size], axis=1)
    step = float(np.abs(np.diff(out)).max())
    # Output adds up to 12 dB.
    assert step < (6 if name == "output" else 3) * steepest


def test_the_removed_part_and_the_result_make_up_the_input(plugin, speech):
    voice = speech(48_000)
    sound = (voice + 0.02 * noise(len(voice), 48_000))[np.newaxis]
    result = plugin.process(sound, 48_000)
    plugin.parameters["listen"].raw_value = 1.0
    removed = plugin.process(sound, 48_000)
    assert difference_db(result + removed, sound) < -90


def test_the_state_makes_a_round_trip(plugin):
    plugin.parameters["reduction"].raw_value = 18 / 61
    plugin.parameters["sensitivity"].raw_value = 0.4
    plugin.parameters["ambience"].raw_value = 0.1
    plugin.parameters["output"].raw_value = 0.75
    plugin.parameters["listen"].raw_value = 1.0
    plugin.parameters["stereo"].raw_value = 1.0
    plugin.process(stereo(48_000, 0.1), 48_000)
    state = plugin.raw_state

    other = load_plugin(BUNDLE)
    other.raw_state = state
    for name in ["reduction", "sensitivity", "ambience", "output", "listen", "stereo", "bypass"]:
        assert other.parameters[name].string_value == plugin.parameters[name].string_value, name
    assert other.parameters["reduction"].string_value == "18 dB"
    sound = stereo(48_000)
    assert np.array_equal(other.process(sound, 48_000), plugin.process(sound, 48_000))


@pytest.mark.parametrize("rate", [44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_noisy_speech_is_cleaned(plugin, speech, rate, channels):
    voice = speech(rate)
    level = rms(voice[np.abs(voice) > 1e-3])
    # 6 dB SNR: clearly audible noise.
    noisy = np.stack([voice + 0.5 * level * noise(len(voice), rate, c) for c in range(channels)])
    clean = plugin.process(noisy, rate)[0]
    before = noisy[0]

    # Pauses at both ends, without the first half second, while the network settles.
    ends = np.r_[rate // 2 : rate - rate // 10, len(voice) - rate + rate // 2 : len(voice)]
    fall = float(db(rms(before[ends]) / max(rms(clean[ends]), 1e-9)))

    def quality(x):
        scale = np.dot(voice, x) / np.dot(voice, voice)
        return float(db(rms(scale * voice) / rms(x - scale * voice)))

    gain = quality(clean) - quality(before)
    kept = float(db(rms(clean[voice != 0]) / rms(voice[voice != 0])))
    print(f"{rate} Hz, {channels} ch: pauses -{fall:.1f} dB, SI-SDR +{gain:.1f} dB, voice {kept:+.1f} dB")
    assert fall > 15
    assert gain > 3
    assert -3 < kept < 2
