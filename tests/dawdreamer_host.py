"""The built VST3 in another real host (JUCE, through dawdreamer). WISP_VST3 names the bundle."""

import os
from pathlib import Path

import dawdreamer
import numpy as np
import pytest

BUNDLE = os.environ.get("WISP_VST3", str(Path(__file__).parents[1] / "target" / "bundled" / "wisp.vst3"))


def render(sound, rate, block, settings=None, automation=None):
    """-> output, reported latency, parameter names."""
    engine = dawdreamer.RenderEngine(rate, block)
    source = engine.make_playback_processor("source", sound)
    plugin = engine.make_plugin_processor("wisp", BUNDLE)
    names = {p["name"]: p["index"] for p in plugin.get_parameters_description()}
    for name, value in (settings or {}).items():
        plugin.set_parameter(names[name], value)
    for name, curve in (automation or {}).items():
        plugin.set_automation(names[name], curve, ppqn=0)
    engine.load_graph([(source, []), (plugin, ["source"])])
    engine.render(sound.shape[1] / rate)
    return engine.get_audio()[:, : sound.shape[1]], plugin.get_latency_samples(), set(names)


def noise(rate, seconds=1.0):
    return 0.1 * np.random.default_rng(1).standard_normal((2, int(rate * seconds))).astype(np.float32)


def test_parameters_are_those_of_wisp():
    _, _, names = render(noise(48000, 0.1), 48000, 512)
    assert {"Reduction", "Output", "Listen", "Stereo", "Bypass", "Quality"} <= names


@pytest.mark.parametrize("quality, hops", [(0.0, 2), (1.0, 6)])
@pytest.mark.parametrize("rate", [44100, 48000, 96000])
def test_reduction_0_is_a_delay_of_the_reported_latency(rate, quality, hops):
    sound = noise(rate)
    out, latency, _ = render(sound, rate, 512, {"Reduction": 0.0, "Quality": quality})
    assert latency == hops * rate // 100
    assert np.allclose(out[:, latency:], sound[:, :-latency], atol=1e-6)


@pytest.mark.parametrize("block", [1, 64, 333, 4096])
def test_every_block_size_gives_the_same_sound(block):
    sound = noise(48000, 0.3)
    assert np.array_equal(render(sound, 48000, block)[0], render(sound, 48000, 512)[0])


def test_noise_goes():
    sound = noise(48000, 3.0)
    out, *_ = render(sound, 48000, 512)
    assert np.isfinite(out).all()
    before, after = (float(np.sqrt(np.mean(x[:, 48000:] ** 2))) for x in (sound, out))
    assert after < before / 4


def test_automation_in_every_block_stays_finite():
    sound = noise(48000, 2.0)
    curve = np.abs(np.sin(np.arange(sound.shape[1]) * 0.01)).astype(np.float32)
    out, *_ = render(sound, 48000, 128, automation={"Reduction": curve, "Output": curve, "Bypass": np.round(curve)})
    assert np.isfinite(out).all() and np.abs(out).max() < 16
