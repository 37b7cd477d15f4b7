"""The metrics on signals whose figures are known, and the command on a small set."""

import json
import math
import stat
import sys

import numpy as np
import pytest
import soundfile
import torch

import evaluate
from conftest import voice


def test_si_sdr(rng):
    clean = rng.standard_normal(16000)
    other = rng.standard_normal(16000)
    for v in (clean, other):
        v -= v.mean()
    other -= (other @ clean) / (clean @ clean) * clean
    other *= np.linalg.norm(clean) / np.linalg.norm(other)
    assert evaluate.si_sdr(clean, 0.3 * (clean + 0.1 * other)) == pytest.approx(20, abs=1e-6)
    assert evaluate.si_sdr(clean, -clean - 0.1 * other) == pytest.approx(20, abs=1e-6)  # cannot see polarity


def test_high_distance(rng):
    x = 0.1 * rng.standard_normal(48000)
    assert evaluate.high_distance(x, x, 48000) == 0
    assert evaluate.high_distance(x, x / 2, 48000) == pytest.approx(20 * math.log10(2), abs=0.02)
    spectrum = np.fft.rfft(x)
    spectrum[:7500] = 0
    high = np.fft.irfft(spectrum)
    assert evaluate.high_distance(x, high, 48000) < 0.5  # blind below 8 kHz
    assert math.isnan(evaluate.high_distance(x, x, 16000))


def test_scores_of_the_clean_signal_are_the_best(rng):
    clean = voice(rng, 3, 48000).astype(np.float64)
    noisy = clean + 0.05 * rng.standard_normal(len(clean))
    best, worse = evaluate.scores(clean, clean, 48000), evaluate.scores(clean, noisy, 48000)
    assert best["PESQ-WB"] > 4.5 and best["PESQ-NB"] > 4.4 and best["STOI"] > 0.999 and best["LSD-HF"] == 0
    assert all(best[k] > worse[k] for k in ("PESQ-WB", "PESQ-NB", "STOI", "SI-SDR")) and worse["LSD-HF"] > 1
    assert best["polarity"] == 1 and evaluate.scores(clean, -noisy, 48000)["polarity"] == -1


@pytest.fixture
def pairs(tmp_path, rng):
    for name in ("noisy", "clean"):
        (tmp_path / "set" / name).mkdir(parents=True)
    for stem, rate in (("a", 16000), ("b", 48000), ("c", 22050)):
        clean = voice(rng, 2, rate)
        noisy = clean + 0.02 * rng.standard_normal(len(clean)).astype(np.float32)
        soundfile.write(tmp_path / f"set/clean/{stem}.wav", clean, rate, subtype="FLOAT")
        soundfile.write(tmp_path / f"set/noisy/{stem}.wav", noisy, rate, subtype="FLOAT")
    return tmp_path / "set"


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *map(str, arguments)])
    evaluate.main()


def test_command(pairs, tmp_path, monkeypatch, shaken_model):
    """A checkpoint, the input, a stand-in for the binary that copies, and a folder: four reports, equal where they must be."""
    checkpoint = tmp_path / "last.pt"
    torch.save(dict(model=shaken_model.state_dict(), sizes=shaken_model.sizes.json()), checkpoint)
    binary = tmp_path / "copy"
    binary.write_text(
        f"#!{sys.executable}\nimport shutil, sys, os\nat = sys.argv.index('--out-dir')\nos.makedirs(sys.argv[at + 1])\n"
        "for f in sys.argv[1:at]:\n    shutil.copy(f, sys.argv[at + 1])\n"
    )
    binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
    out = tmp_path / "figures.json"
    run(
        monkeypatch, pairs, "--noisy", "--network", checkpoint, "--binary", binary,
        "--enhanced", f"peer={pairs / 'noisy'}", "--judges", "residue", "--json", out,
    )  # fmt: skip
    noisy, ours, copied, peer = json.loads(out.read_text())
    assert [r["name"] for r in (noisy, ours, copied, peer)] == ["set: input", "set: Wisp", "set: Wisp", "set: peer"]
    assert noisy["files"] == copied["files"] == peer["files"] and noisy["files"].keys() == {"a", "b", "c"}
    assert ours["files"] != noisy["files"] and ours["judges"][:3] == ["left", "cut", "change"]
    assert noisy["mean"]["left"] == pytest.approx(np.mean([f["left"] for f in noisy["files"].values()]))
    assert noisy["files"]["a"]["LSD-HF"] is None and noisy["files"]["b"]["LSD-HF"] > 0
    assert noisy["mean"]["LSD-HF"] == noisy["files"]["b"]["LSD-HF"]
    assert noisy["mean"]["STOI"] == pytest.approx(np.mean([f["STOI"] for f in noisy["files"].values()]))


def test_clean_in(pairs, tmp_path, monkeypatch):
    run(monkeypatch, pairs, "--noisy", "--clean-in", "--judges", "none", "--json", tmp_path / "f.json")
    (report,) = json.loads((tmp_path / "f.json").read_text())
    assert report["judges"] == [] and "DistillMOS" not in report["mean"]
    assert report["name"] == "set, clean in: input" and report["mean"]["STOI"] > 0.999


def test_summary_groups_bands():
    mean = {"STOI": 0.9, "LSD-HF": None, "voice lost 60-300": -1.23, "voice lost 300-1000": -0.01}
    assert evaluate.summary(mean) == "STOI 0.900  voice lost -1.2/0.0"


def test_errors_say_what_is_wrong(pairs, tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="noisy: no .wav"):
        run(monkeypatch, tmp_path, "--noisy")
    with pytest.raises(SystemExit, match="exit status 1"):
        run(monkeypatch, pairs, "--binary", "/bin/false")
    (pairs / "clean/b.wav").unlink()
    with pytest.raises(SystemExit, match="clean: no b.wav or b.flac"):
        run(monkeypatch, pairs, "--noisy")
