"""The weights file: what is in it, and that it is the same network."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

import dsp
import export
from model import Dccrn, Sizes, grow, grown
from weights import Folded, calibrate, fold, unfold

SMALL = Sizes(channels=(4, 8), mix_hidden=3, hidden=8, blocks=1, high_positions=2, taps=2)


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


@pytest.mark.parametrize(
    "more", [{}, {"blocks": 3}, {"taps": 5}, {"blocks": 3, "taps": 3}, {"low_hidden": 16}, {"look_ahead": 4}]
)
def test_unfolded_weights_are_the_same_network(shaken_model, more):
    """Also after its norms took the statistics of a batch, and with more blocks or taps; then nearly so in training too."""
    model = unfold(fold(shaken_model), shaken_model.sizes)
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
    calibrate(model, low, bands)
    check(2e-5)
    model = grow(model, replace(model.sizes, **more))
    check(2e-5)
    model.train()
    check(1e-2 if "look_ahead" in more else 2e-3)  # the silence looked at after the end is part of the batch


def test_what_learns_to_look_ahead_is_the_same_at_first(tmp_path):
    """Grown from two heads and all memories; the folded weights too."""
    torch.manual_seed(7)
    model = Dccrn(replace(SMALL, heads=2, taps=2, low_hidden=8, full_hidden=16)).eval()
    torch.nn.init.normal_(model.low_memory.linear.weight)
    ahead = grow(model, replace(model.sizes, look_ahead=5, taps=5, taps_ahead=2))
    x = 0.1 * torch.randn(1, 9600)
    want = dsp.denoise(model, x, 48000)
    torch.testing.assert_close(dsp.denoise(ahead, x, 48000), want, rtol=0, atol=1e-6)
    for parameter in ahead.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    export.export(ahead, {}, tmp_path / "w", tmp_path / "g")  # compares the folded with the unfolded
    with pytest.raises(ValueError, match="is not"):
        grow(ahead, replace(ahead.sizes, taps_ahead=1))


@pytest.mark.parametrize("ratio", [1, 2])
def test_a_wider_full_band_memory_is_the_same_at_first(ratio):
    """Also with look-ahead added; the new units are not silent, and what they say is learnt from the first step on."""
    torch.manual_seed(8)
    model = Dccrn(replace(SMALL, heads=2, ratio=ratio, full_hidden=16)).eval()
    sizes = replace(model.sizes, full_hidden=28, look_ahead=2)
    wider = grow(model, sizes)
    low, bands = 0.3 * torch.randn(2, 30, 160, dtype=torch.complex64), torch.rand(2, 30, 24)
    for got, want in zip(wider(low, bands), model(low, bands)):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-6)
    masks = grown(model.sizes, sizes)
    m = 28 // ratio
    assert masks["full_memory.gru.u"].sum() == 3 * m * 28 - 3 * (16 // ratio) * 16
    assert masks["full_memory.gru.b"].sum() == 3 * (m - 16 // ratio)
    torch.view_as_real(wider(low, bands)[0]).square().sum().backward()
    taken = masks["full_memory.gains.weight"] * wider.full_memory.gains.weight.grad
    assert (taken.abs().amax(0) > 0).sum() == 12
    for smaller in (dict(full_hidden=12), dict(full_hidden=0)):
        with pytest.raises(ValueError, match="is not"):
            grow(model, replace(model.sizes, **smaller))


def test_what_has_grown_learns(shaken_model):
    """The new parts get gradients."""
    model = grow(shaken_model, replace(shaken_model.sizes, blocks=3, taps=4, low_hidden=16, look_ahead=4)).train()
    mask, _ = model(0.3 * torch.randn(1, 10, 160, dtype=torch.complex64), torch.rand(1, 10, 24))
    torch.view_as_real(mask).sum().backward()
    assert model.decoder[-1].real.grad[3].abs().max() > 0 and model.decoder[-1].bias.grad.view(2, -1)[1, 3] != 0
    assert model.memory[2].norm.weight.grad.abs().max() > 0
    assert model.low_memory.linear.weight.grad.abs().max() > 0
    for layer, ahead in zip(model.encoder, (2, 1, 1)):
        assert (layer.real[:, :, -ahead:] == 0).all() and (layer.real.grad[:, :, -ahead:].abs().amax((0, 1, 3)) > 0).all()


def test_the_lowest_bins_memory_is_kept(tmp_path):
    """Through a file and back, and with more taps."""
    torch.manual_seed(2)
    model = Dccrn(replace(SMALL, low_hidden=8)).eval()
    torch.nn.init.normal_(model.low_memory.linear.weight)
    save_file(fold(model), tmp_path / "w", {"wisp": json.dumps({"format": 1, "sizes": model.sizes.json()})})
    low, bands = 0.3 * torch.randn(1, 9, 160, dtype=torch.complex64), torch.rand(1, 9, 24)
    mask, _ = model(low, bands)
    folded = Folded(tmp_path / "w", torch.float32)
    torch.testing.assert_close(folded(low, bands)[0], mask, rtol=0, atol=2e-5)
    again = unfold(folded.w, folded.sizes)
    torch.testing.assert_close(again(low, bands)[0], mask, rtol=0, atol=2e-5)
    more = grow(again, replace(again.sizes, taps=4))(low, bands)[0]
    torch.testing.assert_close(more[:, :2], mask, rtol=0, atol=2e-5)
    assert more[:, 2:].abs().sum() == 0
    with pytest.raises(ValueError, match="is not"):
        grow(again, replace(again.sizes, low_hidden=0))


def test_nothing_shrinks(shaken_model):
    for less in ({"taps": 1}, {"blocks": 1}, {"hidden": 32}):
        with pytest.raises(ValueError, match="is not"):
            grow(shaken_model, replace(shaken_model.sizes, **less))


def test_what_does_not_fit_is_not_unfolded(shaken_model):
    tensors = fold(shaken_model)
    with pytest.raises(ValueError, match="left over: memory.1"):
        unfold(tensors, replace(shaken_model.sizes, blocks=1))
    with pytest.raises(ValueError, match="shape"):
        unfold(tensors, replace(shaken_model.sizes, hidden=32))


def test_another_format_is_refused(tmp_path):
    export.export(Dccrn(SMALL).eval(), {}, tmp_path / "w", tmp_path / "g")
    path = tmp_path / "w2"
    save_file(load_file(tmp_path / "w"), path, {"wisp": json.dumps({"format": 2})})
    with pytest.raises(ValueError, match="format 2, expected 1"):
        Folded(path)
