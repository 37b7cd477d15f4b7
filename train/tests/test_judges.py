"""Judges on signals with a known ranking, known figures, and the messages if a judge is missing."""

import importlib.util
import math
import os

import numpy as np
import pytest

import judges
from conftest import voice

needs_distillmos = pytest.mark.skipif(not importlib.util.find_spec("distillmos"), reason="no package distillmos")
needs_dnsmos = pytest.mark.skipif(
    not (importlib.util.find_spec("onnxruntime") and os.environ.get("DNSMOS_DIR")),
    reason="no package onnxruntime, or no DNSMOS_DIR: DNSMOS's models are not part of Wisp",
)


@pytest.fixture
def talk(rng):
    """A voice, and the same in noise."""
    clean = voice(rng, 3, 16000).astype(np.float64)
    return clean, clean + 0.1 * rng.standard_normal(len(clean))


@needs_distillmos
def test_distillmos_hears_no_level(talk):
    """Synthetic syllables are no voice to it, so this only tests its range and its independence of level."""
    clean, noisy = (judges.distillmos(x) for x in talk)
    assert all(1 <= v <= 5 for v in (clean, noisy)) and abs(clean - noisy) > 0.1
    assert judges.distillmos(0.1 * talk[0]) == pytest.approx(clean, abs=1e-3)


@needs_dnsmos
def test_dnsmos_hears_noise(talk):
    good, bad = (judges.dnsmos(x, os.environ["DNSMOS_DIR"]) for x in talk)
    assert list(good) == ["SIG", "BAK", "OVRL", "P.808"] and all(0.5 < v < 5 for v in [*good.values(), *bad.values()])
    assert bad["BAK"] < good["BAK"] - 0.5 and bad["OVRL"] < good["OVRL"]


@needs_dnsmos
def test_dnsmos_takes_any_length(talk):
    clean, _ = talk
    short, long = (judges.dnsmos(x, os.environ["DNSMOS_DIR"])["BAK"] for x in (clean[:9000], np.tile(clean, 5)))
    assert short == pytest.approx(long, abs=1)


def test_mel_levels_of_a_tone():
    x = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    levels = judges.mel_levels(x)
    assert levels.shape == (100, judges.MELS) and levels.max() == 1 and levels.min() == -1
    # 1 kHz is mel 15 of 45.245, and the bands' centres are equally spaced.
    assert levels[50].argmax() == round(15 / 45.245 * (judges.MELS + 1)) - 1


def test_mel_levels_are_librosas(rng):
    librosa = pytest.importorskip("librosa", reason="no package librosa to compare with")
    x = voice(rng, 2, 16000).astype(np.float64)
    power = librosa.feature.melspectrogram(y=x, sr=16000, n_fft=321, hop_length=160, n_mels=judges.MELS)
    expected = (librosa.power_to_db(power, ref=np.max).T + 40) / 40
    assert np.abs(judges.mel_levels(x) - expected).max() < 1e-5


def test_residue_of_clean_and_noisy(talk):
    clean, noisy = talk
    nothing, all_of_it = judges.residue(clean, noisy, clean), judges.residue(clean, noisy, noisy)
    assert nothing["left"] == nothing["cut"] == nothing["change"] == 0
    assert all_of_it["left"] > 10 and all_of_it["cut"] < 0.5 and all_of_it["change"] > 1
    assert all(abs(all_of_it[f"noise left {a}-{b}"]) < 1 for a, b in judges.BANDS[1:])
    assert all(nothing[f"noise left {a}-{b}"] < -5 for a, b in judges.BANDS[1:])


def test_residue_of_less(talk):
    clean, noisy = talk
    cut = judges.residue(clean, noisy, clean / 2)
    assert cut["left"] == 0 and 2 < cut["cut"] < 6.03  # not where the level is held
    assert cut["voice lost 300-1000"] == pytest.approx(-6.02, abs=0.01)
    ten = judges.residue(clean, noisy, clean + 10**-0.5 * (noisy - clean))
    assert ten["noise left 2000-4000"] == pytest.approx(-9, abs=1)
    assert ten["left"] < judges.residue(clean, noisy, noisy)["left"]


def test_residue_where_there_is_nothing():
    silence = np.zeros(16000)
    made = judges.residue(silence, silence, silence)
    assert made["left"] == 0 and math.isnan(made["noise left 60-300"])


def test_find(monkeypatch, tmp_path):
    monkeypatch.delenv("DNSMOS_DIR", raising=False)
    monkeypatch.setattr(judges, "find_spec", lambda name: None if name == "distillmos" else "here")
    asked, said = judges.find(["all"], None)
    assert asked == judges.Judges(residue=True)
    assert "skipping distillmos: it needs `pip install distillmos`" in said and "DNSMOS_DIR" in said[1]
    assert judges.find(["none"], None) == (judges.Judges(), [])
    assert judges.find(["residue"], None) == (judges.Judges(residue=True), [])
    with pytest.raises(SystemExit, match="distillmos needs"):
        judges.find(["distillmos"], None)
    with pytest.raises(SystemExit, match="no sig_bak_ovr.onnx and no model_v8.onnx"):
        judges.find(["all"], str(tmp_path))
    for name in judges.MODELS:
        (tmp_path / name).touch()
    monkeypatch.setenv("DNSMOS_DIR", str(tmp_path))
    assert judges.find(["all"], None)[0] == judges.Judges(dnsmos=str(tmp_path), residue=True)


def test_judges_are_asked_of_equal_lengths(talk):
    clean, noisy = talk
    assert judges.Judges()(clean, noisy, noisy) == {}
    made = judges.Judges(residue=True)(clean, noisy, clean[:-500])
    assert made["left"] == 0 and "DistillMOS" not in made
