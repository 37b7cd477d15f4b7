"""The study of the recurrence: what is compared, and a report from runs of a few steps."""

import json

import numpy as np
import pytest
import soundfile

import ghost_study
from conftest import voice
from ghost_study import Variant, bottleneck, variants, weights
from model import Dccrn, count_macs


def recurrence(v: Variant) -> int:
    return bottleneck(Dccrn(v.sizes))


def test_variants_differ_in_the_recurrence_alone():
    gru, half, quarter, equal = variants()
    assert (equal.ratio, gru.ratio, half.ratio, quarter.ratio) == (1, 1, 2, 4)
    assert recurrence(half) == pytest.approx(0.6 * recurrence(gru), rel=0.01)  # what the paper saves
    assert recurrence(equal) == pytest.approx(recurrence(half), rel=0.01)
    rest = {weights(Dccrn(v.sizes)) - recurrence(v) for v in variants()}
    assert len(rest) == 1
    assert count_macs(half.sizes)["memory"] < count_macs(gru.sizes)["memory"]


def test_similarity():
    t = np.linspace(0, 20, 400)
    states = np.stack([np.sin(t), -3 * np.sin(t), np.cos(t)], -1)[:, None]
    got = ghost_study.similarity(states)
    assert got[0, 0] == pytest.approx(1) and got[0, 1] == pytest.approx(-1) and abs(got[0, 2]) < 0.1


def test_report_of_small_runs(cache, tmp_path, monkeypatch, rng):
    """Two variants, two seeds, two steps each; the engine's times are its own matter (`examples/hops.rs`)."""
    few = [Variant("GRU-12", 12, 1), Variant("GhostGRU-12", 12, 2)]
    monkeypatch.setattr(ghost_study, "variants", lambda: few)
    monkeypatch.setattr(ghost_study, "SEEDS", (1, 2))
    monkeypatch.setattr(ghost_study, "hop_times", lambda a: {v: 1.5 for v in few})
    monkeypatch.setattr(ghost_study, "DOCS", tmp_path)
    page = tmp_path / "ghost-study.md"
    page.write_text("before\n<!-- results -->\nold\n<!-- /results -->\nafter\n")
    pair = tmp_path / "set"
    for k in ("noisy", "clean"):
        (pair / k).mkdir(parents=True)
    for i in range(2):
        clean = voice(rng, 3, 16000)
        soundfile.write(pair / "clean" / f"{i}.wav", clean, 16000)
        soundfile.write(pair / "noisy" / f"{i}.wav", clean + 0.02 * rng.standard_normal(len(clean)), 16000)

    class Arguments:
        out, hours, sets, jobs = tmp_path / "runs", 0.006, [pair], 1
        variants = None

    Arguments.cache = cache
    with pytest.raises(SystemExit, match="run `train`"):
        ghost_study.report(Arguments)
    ghost_study.train(Arguments)
    ghost_study.report(Arguments)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "| GhostGRU-12 |" in text and "±" in text
    kept = json.loads((ghost_study.folder(tmp_path / "runs", few[0], 1) / "set.json").read_text())
    assert len(kept) == 2 and set(ghost_study.METRICS) <= kept[0].keys()
    for picture in ("ghost-similarity.png", "ghost-states.png", "ghost-cell.svg"):
        assert (tmp_path / picture).stat().st_size > 1000
