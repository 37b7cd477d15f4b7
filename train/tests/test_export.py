"""Weights and golden vectors: they belong together, and a failed export changes nothing."""

import hashlib
import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import export
from export import golden_signal, vectors
from model import Dccrn, Sizes
from weights import MANTISSA, Folded, shortened

SMALL = Sizes(channels=(4, 8), mix_hidden=3, hidden=8, blocks=1, high_positions=2, taps=2)


def test_folded_weights_are_the_same_network(shaken_model, tmp_path):
    errors = export.export(shaken_model, {"step": 1, "hours": 0.5}, tmp_path / "w.safetensors", tmp_path / "g.safetensors")
    assert max(errors.values()) < 1e-4
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("ratio", [1, 2, 4])
def test_files_read_back(ratio, tmp_path):
    torch.manual_seed(ratio)
    sizes = Sizes(**SMALL.json() | {"channels": (4, 8), "ratio": ratio, "low_hidden": 12})
    w, g = tmp_path / "w.safetensors", tmp_path / "g.safetensors"
    export.export(Dccrn(sizes).eval(), {"step": 7, "hours": 1.5}, w, g)
    folded = Folded(w)
    assert folded.sizes == sizes and folded.about["format"] == 1
    assert (folded.about["step"], folded.about["hours"]) == (7, 1.5)
    with safe_open(g, "pt") as f:
        note = json.loads(f.metadata()["wisp"])
    assert note["weights_sha256"] == hashlib.sha256(w.read_bytes()).hexdigest()
    golden, again = load_file(g), vectors(folded, golden_signal().double())
    assert golden.keys() == again.keys()
    for k in golden:
        torch.testing.assert_close(golden[k], again[k].float(), rtol=0, atol=1e-6, msg=lambda text: f"{k}: {text}")
    frames = len(golden["spectrum"])
    want = {
        "input": (golden["input"].numel(),), "output": (golden["input"].numel(),), "spectrum": (frames, 481, 2),
        "low": (frames, 160, 2), "bands": (frames, 24), "mask": (frames, 2, 160, 2), "gains": (frames, 24),
        "layer.encoder.0": (frames, 80, 4), "layer.encoder.1": (frames, 40, 8), "layer.high_in": (frames, 2, 8),
        "layer.mix.0": (frames, 42, 8), "layer.memory.0": (frames, 42, 8), "layer.low_memory": (frames, 24, 4),
        "layer.decoder.0": (frames, 80, 4), "layer.decoder.1": (frames, 160, 4),
    }  # fmt: skip
    assert {k: tuple(v.shape) for k, v in golden.items()} == want


def test_golden_signal_fills_the_band():
    """Otherwise the parity test would compare numbers that are all but zero."""
    golden = vectors(Dccrn(SMALL).eval(), golden_signal())
    power = golden["spectrum"].square().sum(-1)[3:-3]
    assert power[:, 1:401].min() > 1e-12 and power[:, 1:401].mean(0).min() > 1e-8
    assert (golden["bands"][3:-3] > 0).all()


def test_golden_file_is_small(shaken_model, tmp_path):
    export.export(shaken_model, {}, tmp_path / "w", tmp_path / "g")
    assert (tmp_path / "g").stat().st_size < 2_500_000


def test_a_failed_export_leaves_the_old_files(tmp_path, monkeypatch):
    model, w, g = Dccrn(SMALL).eval(), tmp_path / "w", tmp_path / "g"
    export.export(model, {}, w, g)
    before = w.read_bytes(), g.read_bytes()
    with torch.no_grad():
        model.high_in.weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match="high_in.weight: not finite"):
        export.export(model, {}, w, g)
    with torch.no_grad():
        model.high_in.weight[0, 0] = 0
    right = export.fold
    monkeypatch.setattr(export, "fold", lambda m: right(m) | {"encoder.0.bias": torch.ones(4)})
    with pytest.raises(ValueError, match="folding changed the network"):
        export.export(model, {}, w, g)
    assert (w.read_bytes(), g.read_bytes()) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["g", "w"]


def test_weights_are_shortened(shaken_model, tmp_path):
    whole = export.fold(shaken_model)
    export.export(shaken_model, {}, tmp_path / "w", tmp_path / "g")
    short = load_file(tmp_path / "w")
    for k, v in short.items():
        assert not (v.view(torch.int32) & ((1 << (23 - MANTISSA)) - 1)).any(), k
        torch.testing.assert_close(v, whole[k], rtol=2.0 ** -(MANTISSA + 1), atol=0)
    halves = torch.randn(1000).bfloat16().float()
    assert torch.equal(shortened({"x": halves})["x"], halves)
    up = torch.tensor([2 - 2.0**-23, -(2 - 2.0**-23)])  # into the next exponent
    assert shortened({"x": up})["x"].tolist() == [2, -2]
