"""Settings as the engine has them, mixtures at the SNR that was asked for, and the tables."""

import json
import math
import sys

import numpy as np
import pytest
import soundfile
import torch

import defaults
from behaviour import db
from conftest import voice
from data import active_rms, rms
from defaults import Setting


def test_settings_read_as_they_are_written():
    assert Setting.of("full") == Setting(math.inf) and str(Setting.of("full")) == "Full"
    assert Setting.of("18:-3") == Setting(18, -3) and str(Setting.of("18:-3")) == "18 dB, Sensitivity -3"
    with pytest.raises(defaults.argparse.ArgumentTypeError, match="loud"):
        Setting.of("loud")


def test_reduction_is_the_engines(rng):
    noisy = rng.standard_normal(1000)
    assert np.array_equal(Setting(math.inf).hear(noisy, 0.1 * noisy), noisy - (noisy - 0.1 * noisy))
    assert np.array_equal(Setting(0).hear(noisy, 0 * noisy), noisy)
    assert Setting(20).hear(noisy, 0 * noisy) == pytest.approx(0.1 * noisy)


def test_mixture_has_its_snr(rng):
    clean = voice(rng, 2, 16000).astype(np.float64)
    noisy = clean + 0.01 * rng.standard_normal(len(clean))
    for snr in (0, 20):
        made = defaults.mixture(clean, noisy, 16000, snr)
        assert db(active_rms(clean, 16000) / rms(made - clean)) == pytest.approx(snr, abs=1e-6)
        assert np.corrcoef(made - clean, noisy - clean)[0, 1] == pytest.approx(1)
    assert np.array_equal(defaults.mixture(clean, clean, 16000, 5), clean)


def test_pauses_and_voice_fall_by_what_was_done(rng):
    clean = voice(rng, 2, 16000).astype(np.float64)
    clean[8000:16000] = 0
    noise = 0.02 * rng.standard_normal(len(clean))
    made = defaults.falls(clean, clean + noise, 0.5 * clean + 0.1 * noise)
    assert made["pauses"] == pytest.approx(20, abs=0.1) and made["voice"] == pytest.approx(6.02, abs=0.1)
    assert math.isnan(defaults.falls(clean[:8000], clean[:8000], clean[:8000] / 2)["pauses"])


def test_command(tmp_path, monkeypatch, capsys, rng, shaken_model):
    for name in ("noisy", "clean"):
        (tmp_path / "set" / name).mkdir(parents=True)
    for stem in "abc":
        clean = voice(rng, 2, 16000)
        noisy = clean + 0.02 * rng.standard_normal(len(clean)).astype(np.float32)
        soundfile.write(tmp_path / f"set/clean/{stem}.wav", clean, 16000, subtype="FLOAT")
        soundfile.write(tmp_path / f"set/noisy/{stem}.wav", noisy, 16000, subtype="FLOAT")
    checkpoint, out = tmp_path / "last.pt", tmp_path / "d.json"
    torch.save(dict(model=shaken_model.state_dict(), sizes=shaken_model.sizes.json()), checkpoint)
    arguments = [tmp_path / "set", "--network", checkpoint, "--settings", "full", "0", "12:6", "--snr", "5", "15"]
    arguments += ["--every", "2", "--judges", "residue", "--json", out]
    monkeypatch.setattr(sys, "argv", ["defaults.py", *map(str, arguments)])
    defaults.main()
    five, fifteen = json.loads(out.read_text())
    assert (five["set"], five["snr"], len(five["pairs"])) == ("set", 5, 2)
    row = five["pairs"][0]
    assert list(row) == ["off", "Full", "0 dB", "12 dB, Sensitivity +6", "clean"]
    assert row["0 dB"] == row["off"] != row["Full"] and row["clean"]["left"] == 0
    assert row["off"]["PESQ-WB"] < fifteen["pairs"][0]["off"]["PESQ-WB"] < row["clean"]["PESQ-WB"]
    said = capsys.readouterr().out
    assert "| PESQ-WB | set 5 dB | set 15 dB |" in said and "| means | PESQ-WB | left | cut | pauses | voice |" in said
