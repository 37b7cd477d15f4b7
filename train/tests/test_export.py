"""The weights' file: what is in it, that it is the same network, that a failed export changes nothing."""

import hashlib
import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import export
from export import Folded, blend, facts, fold, golden_signal, load_checkpoint, replace_block, table, vectors
from model import Dccrn, Sizes

SMALL = Sizes(channels=(4, 8), mix_hidden=3, hidden=8, blocks=1, high_positions=2, taps=2)


def test_folded_weights_are_the_same_network(shaken_model, tmp_path):
    errors = export.export(shaken_model, {"step": 1, "hours": 0.5}, tmp_path / "w.safetensors", tmp_path / "g.safetensors")
    assert max(errors.values()) < 1e-4
    assert not list(tmp_path.glob("*.part"))


def test_every_weight_bears_its_name_and_shape(tmp_path):
    weights = fold(Dccrn(SMALL).eval())
    gru = lambda i, h, m: {"w": (3 * m, i), "b": (3 * m,), "u": (3 * m, h), "cn": (m,)}  # noqa: E731
    shapes = {
        "encoder.0.weight": (4, 2, 2, 3), "encoder.0.bias": (4,), "encoder.0.slope": (4,),
        "encoder.1.weight": (8, 4, 2, 3), "encoder.1.bias": (8,), "encoder.1.slope": (8,),
        "decoder.0.weight": (4, 8, 3), "decoder.0.bias": (4,), "decoder.0.slope": (4,),
        "decoder.1.weight": (4, 4, 3), "decoder.1.bias": (4,),
        "high_in.weight": (8, 12), "high_in.bias": (8,), "high_out.weight": (12, 8), "high_out.bias": (12,),
        "position": (42, 8),
        "mix.0.linear.weight": (8, 6), "mix.0.linear.bias": (8,),
        "memory.0.linear.weight": (8, 8), "memory.0.linear.bias": (8,),
        "memory.0.gru.g": (4, 4), "memory.0.gru.bg": (4,),
    }  # fmt: skip
    shapes |= {f"mix.0.{d}.{k}": v for d in ("up", "down") for k, v in gru(8, 3, 3).items()}
    shapes |= {f"memory.0.gru.{k}": v for k, v in gru(8, 8, 4).items()}
    assert {k: tuple(v.shape) for k, v in weights.items()} == shapes
    assert all(v.dtype == torch.float32 for v in weights.values())


def test_a_blend_lies_between_its_two():
    one, other = Dccrn(SMALL), Dccrn(SMALL)
    before = one.high_in.weight.detach().clone()
    blend(one, other, 0.25)
    torch.testing.assert_close(one.high_in.weight, 0.75 * before + 0.25 * other.high_in.weight)
    with pytest.raises(SystemExit, match="share 2"):
        blend(one, other, 2.0)
    with pytest.raises(SystemExit, match="sizes"):
        blend(one, Dccrn(Sizes(**SMALL.json() | {"channels": (4, 8), "hidden": 16})), 0.5)


@pytest.mark.parametrize("more", [{}, {"blocks": 3}, {"taps": 5}, {"blocks": 3, "taps": 3}, {"low_hidden": 16}])
def test_unfolded_weights_are_the_same_network(shaken_model, more):
    """Also after its norms took the statistics of a batch, and with more blocks or taps; then nearly so in training too."""
    model = export.unfold(fold(shaken_model), shaken_model.sizes)
    low = 0.3 * torch.randn(2, 40, 160, dtype=torch.complex64)
    bands = torch.rand(2, 40, 24)
    mask, gains = shaken_model(low, bands)

    def check(tolerance):
        got, got_gains = model(low, bands)
        taps = mask.shape[1]
        torch.testing.assert_close(got[:, :taps], mask, rtol=0, atol=tolerance)
        assert got[:, taps:].abs().sum() == 0 and got.shape[1] == model.sizes.taps
        torch.testing.assert_close(got_gains, gains, rtol=0, atol=tolerance)

    check(2e-5)
    export.calibrate(model, low, bands)
    check(2e-5)
    model = export.grow(model, replace(model.sizes, **more))
    check(2e-5)
    model.train()
    check(2e-3)


def test_what_has_grown_learns(shaken_model):
    """The new parts get gradients."""
    model = export.grow(shaken_model, replace(shaken_model.sizes, blocks=3, taps=4, low_hidden=16)).train()
    mask, _ = model(0.3 * torch.randn(1, 10, 160, dtype=torch.complex64), torch.rand(1, 10, 24))
    torch.view_as_real(mask).sum().backward()
    assert model.decoder[-1].real.grad[3].abs().max() > 0 and model.decoder[-1].bias.grad.view(2, -1)[1, 3] != 0
    assert model.memory[2].norm.weight.grad.abs().max() > 0
    assert model.low_memory.linear.weight.grad.abs().max() > 0


def test_the_lowest_bins_memory_is_kept(tmp_path):
    """Through a file and back, and with more taps."""
    torch.manual_seed(2)
    model = Dccrn(replace(SMALL, low_hidden=8)).eval()
    torch.nn.init.normal_(model.low_memory.linear.weight)
    export.export(model, {}, tmp_path / "w", tmp_path / "g")
    low, bands = 0.3 * torch.randn(1, 9, 160, dtype=torch.complex64), torch.rand(1, 9, 24)
    mask, _ = model(low, bands)
    folded = Folded(tmp_path / "w", torch.float32)
    torch.testing.assert_close(folded(low, bands)[0], mask, rtol=0, atol=2e-5)
    again = export.unfold(folded.w, folded.sizes)
    torch.testing.assert_close(again(low, bands)[0], mask, rtol=0, atol=2e-5)
    more = export.grow(again, replace(again.sizes, taps=4))(low, bands)[0]
    torch.testing.assert_close(more[:, :2], mask, rtol=0, atol=2e-5)
    assert more[:, 2:].abs().sum() == 0
    with pytest.raises(ValueError, match="is not"):
        export.grow(again, replace(again.sizes, low_hidden=0))


def test_nothing_shrinks(shaken_model):
    for less in ({"taps": 1}, {"blocks": 1}, {"hidden": 32}):
        with pytest.raises(ValueError, match="is not"):
            export.grow(shaken_model, replace(shaken_model.sizes, **less))


def test_what_does_not_fit_is_not_unfolded(shaken_model):
    tensors = fold(shaken_model)
    with pytest.raises(ValueError, match="left over: memory.1"):
        export.unfold(tensors, replace(shaken_model.sizes, blocks=1))
    with pytest.raises(ValueError, match="shape"):
        export.unfold(tensors, replace(shaken_model.sizes, hidden=32))


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


def test_checkpoint_gives_the_averaged_weights(tmp_path):
    model, average = Dccrn(SMALL), Dccrn(SMALL)
    path = tmp_path / "last.pt"
    torch.save(dict(model=model.state_dict(), ema=average.state_dict(), step=3, hours=2, sizes=SMALL.json()), path)
    assert torch.equal(load_checkpoint(path)[0].position, average.position)
    assert torch.equal(load_checkpoint(path, averaged=False)[0].position, model.position)


def test_another_format_is_refused(tmp_path):
    export.export(Dccrn(SMALL).eval(), {}, tmp_path / "w", tmp_path / "g")
    path = tmp_path / "w2"
    export.save_file(load_file(tmp_path / "w"), path, {"wisp": json.dumps({"format": 2})})
    with pytest.raises(ValueError, match="format 2, expected 1"):
        Folded(path)


def test_card(tmp_path):
    card = tmp_path / "MODEL_CARD.md"
    card.write_text("# Card\n<!-- figures -->\nold\n<!-- /figures -->\nend\n")
    reports = [
        {"name": "a: input", "pairs": 2, "mean": {"PESQ-WB": 1.75, "LSD-HF": None}},
        {"name": "a: Wisp", "pairs": 2, "mean": {"PESQ-WB": 2.5, "LSD-HF": 12.34}},
    ]
    replace_block(card, "figures", table(reports))
    assert card.read_text() == (
        "# Card\n<!-- figures -->\n| set | PESQ-WB | LSD-HF |\n|---|---|---|\n| a: input (2 pairs) | 1.750 | - |\n"
        "| a: Wisp (2 pairs) | 2.500 | 12.3 |\n<!-- /figures -->\nend\n"
    )
    reports[1] |= {"judges": ["DistillMOS", "noise left 60-300", "noise left 300-1000"]}
    reports[1]["mean"] |= {"DistillMOS": 3.5, "noise left 60-300": -16.34, "noise left 300-1000": None}
    assert table(reports).splitlines()[4:] == [
        "", "| set | DistillMOS | noise left |", "|---|---|---|", "| a: input (2 pairs) | - | - - |",
        "| a: Wisp (2 pairs) | 3.500 | -16.3 - |",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no <!-- facts -->"):
        replace_block(card, "facts", "x")
    export.export(Dccrn().eval(), {"step": 10, "hours": 3.5}, tmp_path / "w", tmp_path / "g")
    said = facts(Folded(tmp_path / "w").about, tmp_path / "w")
    assert "66,812" in said and "3.5 (10 steps)" in said and "M |" in said
