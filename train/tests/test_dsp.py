"""Analysis and synthesis: the same at every rate, undone exactly, aligned."""

import numpy as np
import pytest
import torch

import dsp
from dsp import apply_filter
from model import Sizes

RATES = [8000, 16000, 32000, 44100, 48000, 96000]


def open_network(low, bands, trace=None):
    """A network that lets everything pass."""
    mask = torch.zeros(low.shape[0], 3, *low.shape[1:], dtype=low.dtype)
    mask[:, 0] = 1
    return mask, torch.ones_like(bands)


open_network.sizes = Sizes()


def test_spectra_have_the_gradient_of_a_real_transform():
    x = torch.randn(2, 40, dtype=torch.float64, requires_grad=True)
    window = torch.hann_window(8, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: dsp.spectra(x, window, 4), x)
    weights = torch.randn(2, 9, 5, dtype=torch.complex128)
    gradients = [
        torch.autograd.grad((y * weights).real.sum(), x)[0]
        for y in (dsp.spectra(x, window, 4), torch.fft.rfft(x.unfold(-1, 8, 4) * window) / 4)
    ]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-14)


@pytest.mark.parametrize("rate", RATES)
def test_istft_undoes_stft(rate):
    torch.manual_seed(0)
    x, hop = torch.randn(2, rate // 5, dtype=torch.float64), rate // 100
    torch.testing.assert_close(dsp.istft(dsp.stft(x, rate), rate), x[:, hop:-hop], rtol=0, atol=1e-12)


@pytest.mark.parametrize("rate", RATES)
def test_the_same_tone_gives_the_same_numbers(rate):
    t = torch.arange(rate // 2, dtype=torch.float64) / rate
    bins = dsp.stft(torch.cos(2 * np.pi * 1000 * t)[None], rate)[0, :, 20]
    torch.testing.assert_close(bins.abs(), torch.full_like(bins.abs(), 2 / np.pi), rtol=0, atol=1e-3)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("extra", [0, 1, 37])
def test_an_open_network_leaves_all(rate, extra):
    torch.manual_seed(1)
    x = torch.randn(1, rate // 10 + extra) + 0.3  # a constant part: DC passes too
    torch.testing.assert_close(dsp.denoise(open_network, x, rate), x, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rate", RATES)
def test_the_edges_go_by_their_neighbours_filters(rate):
    """Bin 0 takes the real part of what bin 1's filter makes of it, now and earlier, and no other bin sees it; bin 160
    goes by the filter of bin 159."""
    torch.manual_seed(2)
    spectrum = dsp.stft(torch.randn(2, rate // 5, dtype=torch.float64) + 0.5, rate)
    mask = torch.randn(2, 3, spectrum.shape[1], 160, dtype=torch.complex128)
    y = dsp.filter_low(mask, spectrum)
    assert y.shape == (2, spectrum.shape[1], 161)
    dc, first = spectrum[..., 0], mask[..., 0]
    want = first[:, 0] * dc
    want[:, 1:] += first[:, 1, 1:] * dc[:, :-1]
    want[:, 2:] += first[:, 2, 2:] * dc[:, :-2]
    torch.testing.assert_close(y[..., 0], want.real + 0j, rtol=0, atol=1e-12)
    mask[..., 159] = mask[..., 158]
    torch.testing.assert_close(y[..., 1:], apply_filter(mask, dsp.low_band(spectrum)), rtol=0, atol=1e-12)


def test_bands_cover_each_high_bin_once():
    edges = dsp.band_edges()
    assert edges[0] == 161 and edges[-1] == 401 and edges == sorted(set(edges))
    m = dsp.band_matrix()
    torch.testing.assert_close(m.sum(0), torch.ones(24))
    assert ((m > 0).sum(1) == 1).all()
    torch.testing.assert_close(dsp.gain_matrix().sum(0), torch.ones(240))


def test_filter_reaches_back():
    """Tap k takes the frame k before."""
    x = torch.randn(1, 6, 160, dtype=torch.complex64)
    mask = torch.zeros(1, 3, 6, 160, dtype=torch.complex64)
    mask[:, 2] = 1j
    y = apply_filter(mask, x)
    torch.testing.assert_close(y[:, 2:], 1j * x[:, :-2])
    assert not y[:, :2].any()


def test_filter_reaches_ahead():
    """With two taps ahead, tap 0 takes the frame two later."""
    x = torch.randn(1, 6, 160, dtype=torch.complex64)
    mask = torch.zeros(1, 3, 6, 160, dtype=torch.complex64)
    mask[:, 0] = 1j
    y = apply_filter(mask, x, 2)
    torch.testing.assert_close(y[:, :-2], 1j * x[:, 2:])
    assert not y[:, -2:].any()


@pytest.mark.parametrize("gain, expected", [(-20, -20), (-33, -33), (-43, -53), (-60, -80)])
def test_frames_without_voice_are_expanded(gain, expected):
    spectrum = torch.full((1, 3, 481), 0.01j, dtype=torch.complex64)
    y = dsp.expand(spectrum, spectrum * 10 ** (gain / 20))
    db = 20 * torch.log10((y / spectrum).abs())
    assert torch.allclose(db, torch.full_like(db, expected), atol=0.1)


def test_a_voice_in_one_band_leaves_the_frame():
    spectrum = torch.full((1, 2, 481), 0.02j, dtype=torch.complex64)
    kept = spectrum * 0.001
    kept[:, 1, 100:116] = 0.3 * spectrum[:, 1, 100:116]
    y = dsp.expand(spectrum, kept)
    assert torch.equal(y[:, 1], kept[:, 1])
    assert (y[:, 0].abs() < kept[:, 0].abs()).all()
    assert torch.isfinite(dsp.expand(0 * spectrum, 0 * kept).abs()).all()


def test_contrast_sets_bands_apart_and_amplifies_nothing():
    """The same figures as in src/engine/contrast.rs."""
    edges = dsp.erb_edges(1, 161, 24)
    spectrum = torch.full((1, 1, 481), 0.1j, dtype=torch.complex64)
    kept = spectrum * 10 ** (-30 / 20)
    kept[..., edges[12] : edges[13]] = spectrum[..., edges[12] : edges[13]] * 10 ** (-10 / 20)
    db = 20 * torch.log10((dsp.set_apart(spectrum, kept) / kept).abs())[0, 0]
    assert abs(db[(edges[12] + edges[13]) // 2] - dsp.CONTRAST * 20 * 6 / 7) < 0.5
    assert abs(db[edges[10]] + dsp.CONTRAST * 20 / 7) < 0.05
    assert db[161:].abs().max() < 1e-4 and db[:6].abs().max() < 1e-4
    for even in (0.01 * spectrum, spectrum, 0 * spectrum):
        torch.testing.assert_close(dsp.set_apart(spectrum, even), even)
    loud = torch.cat([spectrum[..., :47], 0.01 * spectrum[..., 47:]], -1)
    torch.testing.assert_close(dsp.set_apart(spectrum, loud)[..., :40], loud[..., :40])
    for bins in (81, 82, 161):
        assert torch.isfinite(dsp.set_apart(spectrum[..., :bins] * 0, kept[..., :bins]).abs()).all()


@pytest.mark.parametrize("db", [-12, -6, 6, 12])
def test_sensitivity_moves_the_doubtful_and_leaves_the_sure(db):
    """The same figures as in src/engine/shape.rs."""
    spectrum = torch.ones(1, 2, 481, dtype=torch.complex64)
    kept = lambda gain: dsp.lean(spectrum, gain * spectrum, db).real  # noqa: E731
    torch.testing.assert_close(kept(1.0), torch.ones(1, 2, 481))
    assert not kept(0.0).any()
    torch.testing.assert_close(kept(0.5), torch.full((1, 2, 481), 1 / (1 + 10 ** (db / 20))))
    assert not dsp.lean(0 * spectrum, 0 * spectrum, db).abs().any()


def test_no_gain_is_larger_at_the_edge_of_a_spectrum_than_below_it():
    gains = torch.arange(24).expand(1, 1, 24) / 100
    assert dsp.at_the_edge(gains, 221).max() == 0.04  # 22 kHz: eight whole bands, of which the lower five count
    for bins in (961, 401, 161, 171):
        assert torch.equal(dsp.at_the_edge(gains, bins), gains), bins
