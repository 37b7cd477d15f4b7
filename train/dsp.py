"""STFT, bands and synthesis, identical at every sample rate. `src/dsp` and `src/engine` do the same frame by frame."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from model import (
    HIGH_BANDS,
    LOW_BINS,
    apply_filter,
    band_features,
    band_interpolation,
    band_means,
    compress,
    delay,
    erb_edges,
)

HIGH_BINS = 240  # bins 161..=400, 8.05 .. 20 kHz
EXPANDER_BAND = 16  # bins
EXPANDER_THRESHOLD = 1.585e-3  # power, -28 dB


def band_edges() -> list[int]:
    """First bin of each high band and one past the last."""
    return erb_edges(LOW_BINS + 1, LOW_BINS + HIGH_BINS + 1, HIGH_BANDS)


def band_matrix() -> Tensor:
    """(240, 24): mean over each high band's bins."""
    return band_means(band_edges())


def gain_matrix() -> Tensor:
    """(24, 240): gains of the high bands, interpolated between their centres."""
    return band_interpolation(band_edges())


def window(n: int, like: Tensor) -> Tensor:
    """Square root of the periodic Hann window."""
    return torch.sin(torch.arange(n, dtype=like.dtype, device=like.device) * (math.pi / n))


def stft(x: Tensor, rate: int) -> Tensor:
    """(B, N) -> (B, T, rate/100 + 1), frames of 20 ms every 10 ms, scaled by 2/window to be independent of the rate."""
    n = rate // 50
    return torch.fft.rfft(x.unfold(-1, n, n // 2) * window(n, x)) * (2 / n)


def istft(spectrum: Tensor, rate: int, late: Tensor | None = None) -> Tensor:
    """Inverse of `stft`: (B, T, bins) -> (B, (T-1) rate/100): without the half window at either end.

    `late`, if given, contains at each frame the second result for the previous one, used for its second half: a crossfade
    over a twentieth of the hop leads into it, because steps would be audible as a buzz at the hop rate."""
    n = rate // 50

    def halves(x: Tensor) -> tuple[Tensor, Tensor]:
        frames = torch.fft.irfft(x * (n / 2), n=n)
        return (frames * window(n, frames)).split(n // 2, -1)

    first, second = halves(spectrum)
    second = second[:, :-1]
    if late is not None:
        fade = (torch.arange(n // 2, dtype=second.dtype, device=second.device) / (n // 2 // 20)).clamp_max(1)
        second = second + fade * (halves(late)[1][:, 1:] - second)
    return (first[:, 1:] + second).flatten(1)


def low_band(spectrum: Tensor) -> Tensor:
    """Bins 1..=160; zero where the rate has fewer."""
    low = spectrum[..., 1 : LOW_BINS + 1]
    return F.pad(low, (0, LOW_BINS - low.shape[-1])) if low.shape[-1] < LOW_BINS else low


def high_bins(spectrum: Tensor) -> Tensor:
    """Bins 161..=400; zero where the rate has fewer."""
    high = spectrum[..., LOW_BINS + 1 : LOW_BINS + HIGH_BINS + 1]
    return F.pad(high, (0, HIGH_BINS - high.shape[-1])) if high.shape[-1] < HIGH_BINS else high


def power(x: Tensor) -> Tensor:
    return x.real.square() + x.imag.square()


def features(spectrum: Tensor) -> tuple[Tensor, Tensor]:
    """-> compressed low band (B, T, 160) complex, high-band features (B, T, 24)."""
    return compress(low_band(spectrum)), band_features(power(high_bins(spectrum)) @ band_matrix().to(spectrum.device))


def filter_low(mask: Tensor, spectrum: Tensor) -> Tensor:
    """The complex filter (B, taps, T, 160) on bins 0..=160 of a spectrum (zero where the rate has fewer) -> (B, T, 161).

    Energy below 25 Hz leaks into bin 1, which the network receives, so the real bin 0 uses the filter of bin 1. Likewise
    bin 160, the real last bin at 16 kHz, uses that of bin 159, because training only ever reaches one part of its own."""
    low = F.pad(low_band(spectrum), (1, 0))
    low[..., 0] = spectrum[..., 0]
    y = apply_filter(torch.cat([mask[..., :1], mask[..., :-1], mask[..., -2:-1]], -1), low)
    return torch.cat([y[..., :1].real + 0j, y[..., 1:]], -1)


def expand(spectrum: Tensor, kept: Tensor) -> Tensor:
    """Downward expander for frames in which the network found no voice, (B, T, bins) -> gains.

    If every 800 Hz band keeps less than -28 dB, the frame is reduced by the number of dB that the loudest band is below that,
    at most 20 dB. Bands 40 dB below the frame's level are ignored."""
    bands = (spectrum.shape[-1] - 1) // EXPANDER_BAND
    heard, left = (power(x[..., 1 : 1 + bands * EXPANDER_BAND]).unflatten(-1, (bands, -1)).sum(-1) for x in (spectrum, kept))
    faint = 1e-4 * power(spectrum).sum(-1, keepdim=True) + 1e-14
    most = (left / torch.maximum(heard, faint)).amax(-1, keepdim=True)
    return kept * (most / EXPANDER_THRESHOLD).sqrt().clamp(0.1, 1)


def lean(spectrum: Tensor, kept: Tensor, sensitivity_db: float) -> Tensor:
    """Sensitivity, as in `Shape` in src/engine: G = |kept| / |spectrum| over three bins is read as a Wiener gain, and the
    noise is assumed to be louder by the given dB. Clear voice and clear noise hardly change, doubtful sounds do."""
    before, after = (F.pad(power(x), (1, 1)).unfold(-1, 3, 1).sum(-1) for x in (spectrum, kept))
    gain = (after / before.clamp_min(1e-14)).sqrt().clamp(max=1)
    keep = 1 / (gain + 10 ** (sensitivity_db / 20) * (1 - gain))
    return torch.where(before > 1e-14, kept * keep, kept)


def denoise(model: torch.nn.Module, x: Tensor, rate: int, sensitivity_db: float = 0.0) -> Tensor:
    """(B, N) noisy -> (B, N) denoised, aligned: the complete processing, offline, at a multiple of 100 Hz."""
    n, hop = x.shape[-1], rate // 100
    padded = F.pad(x, (hop, 2 * hop + (-n) % hop))
    spectrum = stft(padded, rate)
    mask, gains = model(*features(spectrum))
    heads = gains.shape[-1] // HIGH_BANDS
    frames = [spectrum, delay(spectrum, 1)][:heads]  # the input of each head
    kept = [
        expand(frame, _kept(frame, *parts, spectrum))
        for frame, *parts in zip(frames, mask.chunk(heads, 1), gains.chunk(heads, -1))
    ]
    if sensitivity_db:
        kept = [lean(frame, y, sensitivity_db) for frame, y in zip(frames, kept)]
    return istft(kept[0], rate, *kept[1:])[:, :n]


def _kept(frame: Tensor, mask: Tensor, gains: Tensor, spectrum: Tensor) -> Tensor:
    """Applies one head's filter and gains to its frames."""
    y = torch.zeros_like(frame)
    count = min(LOW_BINS + 1, y.shape[-1])
    y[..., :count] = filter_low(mask, spectrum)[..., :count]
    if y.shape[-1] > LOW_BINS + 1:
        g = gains @ gain_matrix().to(gains.device)
        g = torch.cat([g, g[..., -1:].expand(*g.shape[:2], max(y.shape[-1] - LOW_BINS - 1 - HIGH_BINS, 0))], -1)
        y[..., LOW_BINS + 1 :] = frame[..., LOW_BINS + 1 :] * g[..., : y.shape[-1] - LOW_BINS - 1]
    return y
