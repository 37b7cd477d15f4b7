"""The network: the recurrence against autograd and torch.nn.GRU, the fused loops against both, causality, bounds."""

from dataclasses import replace

import pytest
import torch

import dsp
import fused
import model as wisp
from model import Dccrn, GhostGru, Sizes, _GhostScan, count_macs, norm_act

STEPS, ROWS, INPUTS = 7, 3, 4


def arguments(hidden, ratio, dtype=torch.float64):
    """Everything that _GhostScan takes before `reverse`, wanting gradients."""
    torch.manual_seed(hidden + ratio)
    m, size = hidden // ratio, min(0.6, 2 * hidden**-0.5)  # larger ones make the recurrence chaotic
    shapes = dict(
        x=(STEPS, ROWS, INPUTS), w=(3 * m, INPUTS), b=(3 * m,), u=(3 * m, hidden), cn=(m,), g=(hidden - m, m), bg=(hidden - m,),
        s0=(ROWS, hidden),
    )  # fmt: skip
    return {k: torch.randn(v, dtype=dtype).mul_(size).requires_grad_() for k, v in shapes.items()}


def reference(v, reverse):
    """GhostGru.reference with these arguments."""
    gru = GhostGru(INPUTS, v["u"].shape[1], v["u"].shape[1] // v["cn"].shape[0])
    for k in ("w", "b", "u", "cn", "g", "bg"):
        delattr(gru, k)
        setattr(gru, k, v[k])
    y = gru.reference(v["x"].flip(0) if reverse else v["x"], v["s0"])
    return y.flip(0) if reverse else y


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("ratio", [1, 2, 4])
def test_scan_equals_autograd(ratio, reverse):
    v = arguments(8, ratio)
    y = _GhostScan.apply(*v.values(), reverse)
    torch.testing.assert_close(y, reference(v, reverse), rtol=0, atol=1e-12)
    weights = torch.randn_like(y)
    used = [k for k in v if v[k].numel()]
    got = torch.autograd.grad((y * weights).sum(), [v[k] for k in used])
    want = torch.autograd.grad((reference(v, reverse) * weights).sum(), [v[k] for k in used])
    for name, a, b in zip(used, got, want):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-11, msg=lambda text: f"{name}: {text}")


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_gradcheck(reverse):
    v = arguments(4, 2)
    assert torch.autograd.gradcheck(lambda *a: _GhostScan.apply(*a, reverse), tuple(v.values()))


def need_fused():
    if fused.fused() is None:
        pytest.skip("no C++ compiler here: training falls back to the Python loops, which are tested above")


def both(monkeypatch, run):
    """What `run` returns by fused.cpp, then in Python."""
    need_fused()
    got = run()
    with monkeypatch.context() as m:
        for module in (fused, wisp):
            m.setattr(module, "fused", lambda: None)
        return zip(got, run(), strict=True)


def near(a, b, share=1e-5):
    """Within `share` of the largest value."""
    torch.testing.assert_close(a, b, rtol=0, atol=share * max(float(b.detach().abs().max()), 1e-3))


@pytest.mark.parametrize("along", ["time", "frequency"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("hidden,ratio", [(16, 1), (8, 1), (8, 2), (64, 2), (64, 4), (12, 3)])
def test_fused_scan_equals_the_python(monkeypatch, hidden, ratio, reverse, along):
    """Values and all gradients. 16 units at ratio 1 have kernels of their own; 3 x 9 and 3 x 7 sequences leave some over."""
    torch.manual_seed(hidden)
    gru = GhostGru(6, hidden, ratio)
    x, weights = torch.randn(3, 9, 7, 6), torch.randn(3, 9, 7, hidden)

    def run():
        inputs = x.clone().requires_grad_()
        y = gru(inputs, along, reverse)
        used = [inputs, *(p for p in gru.parameters() if p.numel())]
        return [y, *torch.autograd.grad((y * weights).sum(), used)]

    for got, want in both(monkeypatch, run):
        near(got, want)


@pytest.mark.parametrize("heads,lowest", [(1, 0), (1, 24), (2, 24)])
def test_fused_mask_equals_the_python(monkeypatch, heads, lowest):
    """Values and gradients, from coefficients near zero to saturated ones."""
    torch.manual_seed(0)
    taps, size = 3, torch.logspace(-6, 1.5, 160)[:, None]
    x, low = torch.randn(2, 5, 160, 2 * heads * taps) * size, 0.1 * torch.randn(2, 5, lowest, 2 * heads * taps)
    gains, weights = torch.rand(2, heads, 5, 160), torch.randn(2, heads * taps, 5, 160, dtype=torch.complex64)

    def run():
        inputs = [v.clone().requires_grad_() for v in (x, low, gains) if v.numel()]
        mask = wisp._bounded(inputs[0], inputs[1] if lowest else None, inputs[-1], heads)
        return [mask, *torch.autograd.grad((mask * weights).real.sum(), inputs)]

    for got, want in both(monkeypatch, run):
        near(got, want)


@pytest.mark.parametrize("heads,ahead", [(1, 0), (2, 0), (2, 2), (1, 3)])
def test_fused_filter_equals_the_python(monkeypatch, heads, ahead):
    torch.manual_seed(0)
    mask, spectrum = (torch.randn(shape, dtype=torch.complex64) for shape in ((2, heads * 4, 6, 160), (2, 6, 161)))
    weights = torch.randn(heads, 2, 6, 161, dtype=torch.complex64)

    def run():
        inputs = mask.clone().requires_grad_()
        y = torch.stack(dsp.filter_heads(inputs, spectrum, heads, ahead))
        return [y, *torch.autograd.grad((y * weights).real.sum(), [inputs])]

    for got, want in both(monkeypatch, run):
        near(got, want)


@pytest.mark.parametrize("hidden,ratio", [(8, 2), (16, 1)])
def test_fused_scan_at_extremes(hidden, ratio):
    need_fused()
    y = GhostGru(6, hidden, ratio)(1e4 * torch.randn(3, 9, 7, 6), "time")
    assert torch.isfinite(y).all() and y.abs().max() <= 1


@pytest.mark.parametrize("act", [False, True])
def test_fused_norm_equals_torch(act, monkeypatch):
    torch.manual_seed(0)
    x = torch.randn(5, 6, 8) * 2 + 1

    def run():
        norm, prelu = torch.nn.BatchNorm1d(8), torch.nn.PReLU(8)
        with torch.no_grad():
            norm.weight.copy_(torch.linspace(-1, 2, 8))
            norm.bias.copy_(torch.linspace(-0.5, 0.5, 8))
            prelu.weight.copy_(torch.linspace(-0.2, 0.4, 8))
        inputs = x.clone().requires_grad_()
        y = norm_act(inputs, norm, prelu if act else None)
        (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum().backward()
        out = [y, inputs.grad, norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var]
        return out + [prelu.weight.grad] * act

    for got, want in both(monkeypatch, run):
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


def test_ratio_1_is_torch_gru():
    torch.manual_seed(1)
    gru, plain = GhostGru(6, 10, 1).double(), torch.nn.GRU(6, 10).double()
    with torch.no_grad():
        plain.weight_ih_l0.copy_(gru.w)
        plain.weight_hh_l0.copy_(gru.u)
        plain.bias_ih_l0.copy_(gru.b)
        plain.bias_hh_l0.zero_()
        plain.bias_hh_l0[20:].copy_(gru.cn)
    x, s0 = torch.randn(9, 4, 6, dtype=torch.float64), torch.randn(4, 10, dtype=torch.float64)
    got = _GhostScan.apply(x, gru.w, gru.b, gru.u, gru.cn, gru.g, gru.bg, s0, False)
    torch.testing.assert_close(got, plain(x, s0[None])[0], rtol=0, atol=1e-12)


def test_weights_of_a_ghost_gru():
    """The count that the name promises: 1.5 H (I + H) + H^2 / 4 at ratio 2, without the biases."""
    h, i = 64, 48
    count = lambda ratio: sum(p.numel() for k, p in GhostGru(i, h, ratio).named_parameters() if k in "wug")  # noqa: E731
    assert count(1) == 3 * h * (i + h)
    assert count(2) == 3 * h * (i + h) // 2 + h * h // 4


def inputs(frames=12, seed=2):
    torch.manual_seed(seed)
    return torch.randn(1, frames, 160, dtype=torch.complex64), torch.rand(1, frames, 24)


@pytest.mark.parametrize("changed", ["low", "bands"])
def test_later_frames_leave_earlier_outputs(shaken_model, changed):
    low, bands = inputs()
    with torch.no_grad():
        mask, gains = shaken_model(low, bands)
        (low if changed == "low" else bands)[:, 7:] *= -3
        other_mask, other_gains = shaken_model(low, bands)
    torch.testing.assert_close(other_mask[:, :, :7], mask[:, :, :7], rtol=0, atol=1e-6)
    torch.testing.assert_close(other_gains[:, :7], gains[:, :7], rtol=0, atol=1e-6)
    assert (other_mask[:, :, 7:] - mask[:, :, 7:]).abs().max() > 1e-3


LOOK_AHEAD = Sizes(channels=(8, 8, 12), blocks=1, taps=4, heads=2, full_hidden=16, look_ahead=4, taps_ahead=2)


@pytest.mark.parametrize("look_ahead", [1, 2, 4, 7])
@pytest.mark.parametrize("changed", ["low", "bands"])
def test_look_ahead_reaches_so_far_and_no_further(look_ahead, changed):
    torch.manual_seed(5)
    model = Dccrn(replace(LOOK_AHEAD, look_ahead=look_ahead, taps_ahead=1)).eval()
    low, bands = inputs(20)
    with torch.no_grad():
        mask, gains = model(low, bands)
        (low if changed == "low" else bands)[:, 12:] *= -3
        other_mask, other_gains = model(low, bands)
    first = 12 - look_ahead
    torch.testing.assert_close(other_mask[:, :, :first], mask[:, :, :first], rtol=0, atol=1e-6)
    torch.testing.assert_close(other_gains[:, :first], gains[:, :first], rtol=0, atol=1e-6)
    assert (other_mask[:, :, first] - mask[:, :, first]).abs().max() > 1e-6
    assert (other_gains[:, first] - gains[:, first]).abs().max() > 1e-6


def test_silence_follows_what_is_looked_ahead():
    model = Dccrn(LOOK_AHEAD).eval()
    x = torch.cat([0.1 * torch.randn(1, 4800), torch.zeros(1, 4800)], 1)
    low, bands = dsp.features(dsp.stft(x, 48000))
    with torch.no_grad():
        whole, cut = model(low, bands)[0], model(low[:, :11], bands[:, :11])[0]
    torch.testing.assert_close(cut, whole[:, :, :11], rtol=0, atol=1e-5)


def test_mask_and_gains_are_bounded(shaken_model):
    low, bands = inputs()
    with torch.no_grad():
        mask, gains = shaken_model(low * 1e4, bands * 1e3)
    assert mask.abs().max() <= 1.000001
    assert gains.min() >= 0 and gains.max() <= 1


@pytest.mark.parametrize(
    "sizes",
    [Sizes(), Sizes(channels=(8, 16), ratio=1, hidden=16, blocks=1, taps=1, time_kernel=3, low_hidden=8), Sizes(low_hidden=24)],
)
def test_other_sizes_run(sizes):
    low, bands = inputs(5)
    mask, gains = Dccrn(sizes)(low, bands)
    assert mask.shape == (1, sizes.taps, 5, 160) and gains.shape == (1, 5, 24)


def test_the_lowest_bins_memory_has_no_say_elsewhere_or_about_the_past():
    torch.manual_seed(4)
    model = Dccrn(Sizes(low_hidden=16)).eval()
    low, bands = inputs(20)
    with torch.no_grad():
        before = model(low, bands)[0]
        torch.nn.init.normal_(model.low_memory.linear.weight)
        mask = model(low, bands)[0]
        low[:, 12:] *= 2
        later = model(low, bands)[0]
    assert torch.equal(mask[..., 24:], before[..., 24:])
    assert ((mask[..., :24] - before[..., :24]).abs().amax((0, 1, 2)) > 1e-3).all()
    torch.testing.assert_close(later[:, :, :12], mask[:, :, :12], rtol=0, atol=1e-6)


@pytest.mark.parametrize("sizes", [Sizes(), Sizes(taps=8, low_hidden=96), Sizes(look_ahead=4, taps_ahead=2)])
def test_macs_are_those_of_the_weights(sizes):
    """Every stored weight, times the positions that it is used at."""
    from weights import fold

    weights = {k: v.numel() for k, v in fold(Dccrn(sizes).eval()).items()}
    positions = {f"encoder.{i}.weight": 160 >> (i + 1) for i in range(3)}
    positions |= {f"decoder.{i}.weight": 20 << i for i in range(3)}
    positions |= {"high_in.weight": 4, "high_out.weight": 4}
    for i in range(sizes.blocks):
        names = [f"mix.{i}.{d}.{k}" for d in ("up", "down") for k in "wu"] + [f"mix.{i}.linear.weight"]
        names += [f"memory.{i}.gru.{k}" for k in "wug"] + [f"memory.{i}.linear.weight"]
        positions |= dict.fromkeys(names, sizes.positions)
    if sizes.low_hidden:
        positions |= dict.fromkeys([f"low_memory.gru.{k}" for k in "wug"] + ["low_memory.linear.weight"], 1)
    total = sum(weights[k] * n for k, n in positions.items()) + 4 * 160 * sizes.taps
    assert count_macs(sizes)["total"] == total
