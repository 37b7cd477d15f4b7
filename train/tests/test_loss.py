"""What the loss sees: bandwidth, polarity, level, harmonics, PESQ, STOI."""

import numpy as np
import pytest
import torch

import fused
from conftest import voice
from data import active_rms
from loss import Loss, _differences, _pesq_distance, _stoi_loss
from test_dsp import open_network


def tone(frequency, rate, level):
    t = np.arange(rate) / rate
    return (level * np.hanning(rate) * np.sin(2 * np.pi * frequency * t)).astype(np.float32)


@pytest.mark.parametrize("rate,bandwidth,above,below", [(16000, 4000, 6000, 3000), (48000, 12000, 15000, 10000)])
def test_loss_is_masked_above_the_bandwidth(rng, rate, bandwidth, above, below):
    clean = voice(rng, 1, rate) + 0.02 * rng.standard_normal(rate).astype(np.float32)
    noisy = clean + 0.05 * rng.standard_normal(rate).astype(np.float32)

    def total(target):
        name = str(rate // 1000)
        batch = {"noisy" + name: torch.from_numpy(noisy)[None], "clean" + name: torch.from_numpy(target)[None]}
        batch |= {"bandwidth": torch.tensor([float(bandwidth)]), "reference": torch.tensor([0.1])}
        return float(Loss()(open_network, batch)[0])

    base = total(clean)
    seen, hidden = total(clean + tone(below, rate, 0.1)), total(clean + tone(above, rate, 0.1))
    assert abs(seen - base) > 0.01
    assert abs(hidden - base) < 1e-3 * abs(seen - base)


def test_fused_differences_equal_the_python():
    """Values and gradients, from silence to 40 dB above a voice, against the same in double precision."""
    if fused.fused() is None:
        pytest.skip("no C++ compiler here: training falls back to the Python, which is tested above")
    torch.manual_seed(3)
    levels = 10 ** torch.linspace(-8, 2, 60).view(1, 60, 1)
    known = (torch.arange(161) < torch.tensor([[[161.0]], [[90.0]]])).float()
    y, s = (levels * torch.randn(2, 60, 161, dtype=torch.complex64) for _ in range(2))
    y[:, :3], s[:, 1:4] = 0, 0
    found = []
    for kind in (torch.complex64, torch.complex128):
        x = y.to(kind).requires_grad_()
        means = _differences(x, s.to(kind), known.to(x.real.dtype))
        (gradient,) = torch.autograd.grad(sum(w * m for w, m in zip((0.7, 0.3, 0.5), means)), x)
        found.append((torch.stack(means).double(), torch.view_as_real(gradient).double()))
    (means, gradient), (exact_means, exact) = found
    torch.testing.assert_close(means, exact_means, rtol=1e-5, atol=0)
    assert not gradient[1, :, 90:].any()
    frames = exact.abs().amax((0, 2, 3), keepdim=True)
    assert ((gradient - exact).abs() / frames.clamp_min(1e-30)).max() < 2e-5


def test_loss_sees_polarity_and_level(rng):
    """An estimate that is right costs least; half, double and inverted cost more, and silence is not best."""
    clean = torch.from_numpy(voice(rng, 1, 16000))[None]
    batch = dict(noisy16=clean, clean16=clean, bandwidth=torch.tensor([8000.0]), reference=torch.tensor([0.1]))

    def total(gain):
        def scaled(low, bands, trace):
            mask, gains = open_network(low, bands)
            return gain * mask, gains

        scaled.sizes = open_network.sizes
        return float(Loss()(scaled, batch)[0])

    assert total(1) < min(total(0.5), total(2), total(0))
    assert total(1) < total(-1) - 1


def test_noise_above_8_khz_is_an_error_of_level(rng):
    """Hiss 30 dB below the voice: every step towards silence counts, and nothing above the
    bandwidth does."""
    clean = voice(rng, 1, 48000)
    spectrum = np.fft.rfft(clean)
    spectrum[8000:] = 0
    clean = np.fft.irfft(spectrum, len(clean)).astype(np.float32)
    hiss = np.fft.rfft(rng.standard_normal(48000))
    hiss[:8500] = 0
    hiss = np.fft.irfft(hiss).astype(np.float32)
    hiss *= 10 ** (-30 / 20) * active_rms(clean, 48000) / np.sqrt(np.mean(hiss**2))

    def part(gain, bandwidth=20000.0):
        def lowered(low, bands, trace):
            mask, gains = open_network(low, bands)
            return mask, gain * gains

        lowered.sizes = open_network.sizes
        batch = dict(noisy48=torch.from_numpy(clean + hiss)[None], clean48=torch.from_numpy(clean)[None])
        batch |= dict(bandwidth=torch.tensor([bandwidth]), reference=torch.tensor([active_rms(clean, 48000)]))
        return float(Loss(level=1.0)(lowered, batch)[1]["high_level"])

    steps = [part(gain) for gain in (1, 0.3, 0.1)]
    assert all(a > b + 0.05 for a, b in zip(steps, steps[1:])) and part(0) < 0.05
    assert part(1, bandwidth=8050.0) == 0


def test_loss_counts_quiet_items_alike(rng):
    clean = voice(rng, 1, 16000)
    noisy = clean + 0.05 * rng.standard_normal(16000).astype(np.float32)

    def total(gain):
        return float(
            Loss()(
                open_network,
                dict(
                    noisy16=torch.from_numpy(noisy * gain)[None], clean16=torch.from_numpy(clean * gain)[None],
                    bandwidth=torch.tensor([8000.0]), reference=torch.tensor([active_rms(clean * gain, 16000)]),
                ),
            )[0]
        )  # fmt: skip

    assert total(np.float32(0.01)) == pytest.approx(total(np.float32(1)), rel=0.01)


def test_long_terms_see_between_the_harmonics(rng):
    """A tone between two harmonics 100 Hz apart costs more at 64 ms than at 20 ms, as seen from one that lies on a harmonic."""
    t = np.arange(32000) / 16000
    clean = sum(0.03 * np.sin(2 * np.pi * 100 * k * t + k) for k in range(1, 30)).astype(np.float32)

    def parts(frequency):
        noisy = clean + (0.003 * np.sin(2 * np.pi * frequency * t)).astype(np.float32)
        batch = dict(noisy16=torch.from_numpy(noisy)[None], clean16=torch.from_numpy(clean)[None])
        return Loss()(open_network, batch | dict(bandwidth=torch.tensor([8000.0]), reference=torch.tensor([0.1])))[1]

    between, on = parts(1050), parts(1000)
    assert between["long_magnitude"] / on["long_magnitude"] > 3 * between["magnitude"] / on["magnitude"]


def test_long_terms_count_by_their_share(rng):
    clean = voice(rng, 1, 16000)
    noisy = clean + 0.05 * rng.standard_normal(16000).astype(np.float32)
    batch = dict(noisy16=torch.from_numpy(noisy)[None], clean16=torch.from_numpy(clean)[None])
    batch |= dict(bandwidth=torch.tensor([8000.0]), reference=torch.tensor([0.1]))
    (none, parts), (half, _), (whole, _) = (Loss(long=share)(open_network, batch) for share in (0, 0.5, 1))
    assert float(whole + none) == pytest.approx(2 * float(half), rel=1e-5)
    short, long = (0.7 * parts[k + "magnitude"] + 0.3 * parts[k + "complex"] for k in ("", "long_"))
    assert float(whole - none) == pytest.approx(float(400 * (long - short)), rel=1e-3)


def test_residue_counts_what_is_left_where_the_noise_rules(rng):
    """A tone between two harmonics counts, and less of it counts less. A tone on a harmonic or a voice that is too quiet does not, nor
    does anything without speech or with a weight of 0."""
    t = np.arange(32000) / 16000
    clean = sum(0.03 * np.sin(2 * np.pi * 200 * k * t + k) for k in range(1, 20)).astype(np.float32)

    def part(frequency, voice=clean, weight=1.0):
        tone = 0.02 * np.sin(2 * np.pi * frequency * t).astype(np.float32)
        batch = dict(noisy16=torch.from_numpy(voice + tone)[None], clean16=torch.from_numpy(voice)[None])
        batch |= dict(bandwidth=torch.tensor([8000.0]), reference=torch.tensor([0.1]))
        total, parts = Loss(residue=weight)(open_network, batch)
        return float(total), parts.get("residue")

    def compared(wave):
        noise = 0.02 * np.sin(2 * np.pi * 1100 * t).astype(np.float32)
        signals = (torch.from_numpy(v.astype(np.float32))[None] for v in (wave(noise), clean, noise))
        return float(Loss(residue=1.0).compare(*signals, torch.tensor([8000.0]))["residue"])

    levels = [compared(lambda n, g=g: clean + g * n) for g in (1, 0.3, 0.03)]
    assert levels == sorted(levels, reverse=True) and levels[0] > 1
    assert compared(lambda n: 0.3 * clean) == pytest.approx(0, abs=1e-3)
    assert float(part(1100)[1]) > 1 and float(part(1000)[1]) < 0.1
    assert float(part(1100, voice=0 * clean)[1]) == 0
    assert part(1100, weight=0.0)[1] is None
    assert part(1100, weight=2.0)[0] - part(1100, weight=1.0)[0] == pytest.approx(float(part(1100)[1]), rel=1e-4)


def test_pesq_term_sees_what_pesq_sees(rng):
    """More noise, more distance, a gradient that leads back; and the filters applied as spectra are torch-pesq's own."""
    clean = torch.from_numpy(voice(rng, 2, 16000))[None]
    noise = torch.from_numpy(rng.standard_normal((1, 32000)).astype(np.float32))
    distance = _pesq_distance()
    own = type(distance).__base__(1.0, sample_rate=16000)
    levels = [0.003, 0.01, 0.03, 0.1]
    got = [float(distance(clean, clean + level * noise)) for level in levels]
    assert 0 <= float(distance(clean, clean)) < got[0] and got == sorted(got)
    assert got == pytest.approx([float(own(clean, clean + level * noise)) for level in levels], rel=0.02)
    noisy = (clean + 0.03 * noise).requires_grad_()
    (gradient,) = torch.autograd.grad(distance(clean, noisy).sum(), noisy)
    assert torch.isfinite(gradient).all()
    with torch.no_grad():
        assert float(distance(clean, noisy - 0.5 * gradient / gradient.norm())) < got[2]


def test_stoi_term_is_stoi(rng):
    from pystoi import stoi

    clean = voice(rng, 3, 16000)
    noisy = [clean + level * rng.standard_normal(48000).astype(np.float32) for level in (0.003, 0.03, 0.1, 0.3)]
    got = -_stoi_loss()(torch.from_numpy(np.stack(noisy)), torch.from_numpy(clean).expand(4, -1))
    assert got.tolist() == pytest.approx([stoi(clean, x, 16000) for x in noisy], abs=0.01)
    assert got[0] > 0.9 and got[3] < 0.7


@pytest.mark.parametrize("name,weight,least", [("pesq", 0.3, 0.1), ("stoi", 3.0, 0.02)])
def test_perceptual_terms_count_by_their_weight(rng, name, weight, least):
    clean = torch.from_numpy(voice(rng, 2, 16000))[None]
    noisy = clean + 0.03 * torch.from_numpy(rng.standard_normal((1, 32000)).astype(np.float32))
    batch = dict(noisy16=noisy, clean16=clean, bandwidth=torch.tensor([8000.0]), reference=torch.tensor([0.1]))
    without, _ = Loss()(open_network, batch)
    with_it, parts = Loss(**{name: weight})(open_network, batch)
    assert parts[name] > least and float(with_it - without) == pytest.approx(weight * float(parts[name]), rel=1e-4)
    silent = batch | dict(clean16=torch.zeros(1, 32000))
    assert float(Loss(**{name: weight})(open_network, silent)[1][name]) == 0  # neither is defined for silence


def test_stoi_term_is_finite_where_nothing_is_left(rng):
    """A muted estimate, and a word too short for a stretch of 384 ms."""
    clean = torch.from_numpy(np.stack([voice(rng, 2, 16000), np.zeros(32000, np.float32)]))
    clean[1, 9000:11000] = 0.1 * torch.sin(torch.arange(2000) * 0.3)
    for wave in (torch.zeros(2, 32000), clean + 0.01 * torch.from_numpy(rng.standard_normal((2, 32000)).astype(np.float32))):
        wave.requires_grad_()
        value = _stoi_loss()(wave, clean)
        (gradient,) = torch.autograd.grad(value.sum(), wave)
        assert torch.isfinite(value).all() and torch.isfinite(gradient).all()
