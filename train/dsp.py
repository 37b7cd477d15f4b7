"""STFT, bands and synthesis, identical at every sample rate. `src/dsp` and `src/engine` do the same frame by frame."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from fused import Filter, fast


LOW_BINS = 160  # bins 1..=160, 50 Hz .. 8 kHz
LOW_BANDS = 24  # 0 .. 8 kHz, for the envelope
HIGH_BINS = 240  # bins 161..=400, 8.05 .. 20 kHz
HIGH_BANDS = 24  # 8 .. 20 kHz
COMPRESSION = 0.3
EDGE = 3  # high bands below the end of a spectrum that ends within them
MAGNITUDE_FLOOR = 1e-12  # added to |X|^2 before the power law
ENERGY_FLOOR = 1e-12  # added to a band's mean |X|^2 before the logarithm
SILENT_BAND = (math.log10(ENERGY_FLOOR) + 8) / 4  # `band_features` of silence
EXPANDER_BAND = 16  # bins
EXPANDER_THRESHOLD = 5.012e-4  # power, -33 dB
CONTRAST = 0.4  # share of a band's distance from the mean around it
CONTRAST_AROUND = 3  # bands on either side in that mean


def erb_edges(first: int, last: int, bands: int) -> list[int]:
    """First bin of each band and one past the last, for bins first .. last-1, 50 Hz apart: equal steps on the ERB-rate scale
    (Glasberg & Moore 1990, 21.4 log10(1 + 0.00437 f)), no band without a bin."""
    erb = lambda f: 21.4 * math.log10(1 + 0.00437 * f)  # noqa: E731
    low, high = erb(50 * first - 25), erb(50 * last - 25)
    edges = [first]
    for k in range(1, bands):
        f = (10 ** ((low + (high - low) * k / bands) / 21.4) - 1) / 0.00437
        edges.append(max(round(f / 50), edges[-1] + 1))
    return [*edges, last]


def band_means(edges: list[int]) -> Tensor:
    """(bins, bands): mean over each band's bins."""
    m = torch.zeros(edges[-1] - edges[0], len(edges) - 1)
    for k, (a, b) in enumerate(zip(edges, edges[1:])):
        m[a - edges[0] : b - edges[0], k] = 1 / (b - a)
    return m


def band_interpolation(edges: list[int]) -> Tensor:
    """(bands, bins): gains interpolated between the bands' centres, constant beyond the first and last one."""
    m = torch.zeros(len(edges) - 1, edges[-1] - edges[0])
    centre = [(a + b - 1) / 2 for a, b in zip(edges, edges[1:])]
    for i in range(m.shape[1]):
        b = i + edges[0]
        if b <= centre[0]:
            m[0, i] = 1
        elif b >= centre[-1]:
            m[-1, i] = 1
        else:
            k = max(j for j in range(len(centre)) if centre[j] <= b)
            w = (b - centre[k]) / (centre[k + 1] - centre[k])
            m[k, i], m[k + 1, i] = 1 - w, w
    return m


def compress(x: Tensor) -> Tensor:
    """X |X|^(0.3-1): power-compressed complex spectrum."""
    power = x.real.square() + x.imag.square() + MAGNITUDE_FLOOR
    return x * power.pow((COMPRESSION - 1) / 2)


def band_features(energy: Tensor) -> Tensor:
    """Mean |X|^2 per high band -> about [-1, 2]."""
    return (torch.log10(energy + ENERGY_FLOOR) + 8) / 4


def band_edges() -> list[int]:
    """First bin of each high band and one past the last."""
    return erb_edges(LOW_BINS + 1, LOW_BINS + HIGH_BINS + 1, HIGH_BANDS)


def band_matrix() -> Tensor:
    """(240, 24): mean over each high band's bins."""
    return band_means(band_edges())


def gain_matrix() -> Tensor:
    """(24, 240): gains of the high bands, interpolated between their centres."""
    return band_interpolation(band_edges())


def at_the_edge(gains: Tensor, bins: int) -> Tensor:
    """Gains (B, T, 24) for a spectrum of `bins` bins that ends within the high band: from EDGE whole bands below its end on, none is
    above the largest of those before. The network sees nothing past the end, and beside it leaves more noise than elsewhere."""
    whole = sum(edge <= bins for edge in band_edges()[1:])
    if whole == HIGH_BANDS or whole < 2 * EDGE:
        return gains
    below = gains[..., : whole - EDGE]
    return torch.cat([below, torch.minimum(gains[..., whole - EDGE :], below.amax(-1, keepdim=True))], -1)


def window(n: int, like: Tensor) -> Tensor:
    """Square root of the periodic Hann window."""
    return torch.sin(torch.arange(n, dtype=like.dtype, device=like.device) * (math.pi / n))


class _Rfft(torch.autograd.Function):
    """`torch.fft.rfft` over an even length. The gradient is a real transform, too: PyTorch's is a complex one, padded with zeros."""

    @staticmethod
    def forward(ctx, x):
        ctx.n = x.shape[-1]
        return torch.fft.rfft(x)

    @staticmethod
    def backward(ctx, grad):
        grad = grad / 2  # irfft counts the inner bins twice
        grad[..., 0] *= 2
        grad[..., -1] *= 2
        return torch.fft.irfft(grad, ctx.n, norm="forward")


def spectra(x: Tensor, window: Tensor, hop: int) -> Tensor:
    """(B, N) -> (B, T, window/2 + 1), scaled by 2/window to be independent of the rate."""
    n = len(window)
    return _Rfft.apply(x.unfold(-1, n, hop) * (window * (2 / n)))


def stft(x: Tensor, rate: int) -> Tensor:
    """(B, N) -> (B, T, rate/100 + 1), frames of 20 ms every 10 ms."""
    n = rate // 50
    return spectra(x, window(n, x), n // 2)


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


def apply_filter(mask: Tensor, spectrum: Tensor, ahead: int = 0) -> Tensor:
    """Y(t) = sum_k M_k(t) X(t + ahead - k). mask (B, taps, T, F), spectrum (B, T, F)."""
    y = 0
    for k, tap in enumerate(mask.unbind(1)):
        y = y + tap * delay(spectrum, k - ahead)
    return y


def delay(x: Tensor, k: int) -> Tensor:
    """Frames (B, T, F) k later, or earlier where k is negative, with zeros where there is none."""
    if k < 0:
        return torch.cat([x[:, -k:], torch.zeros_like(x[:, :-k])], 1)
    return torch.cat([torch.zeros_like(x[:, :k]), x[:, : x.shape[1] - k]], 1)


def filter_low(mask: Tensor, spectrum: Tensor, ahead: int = 0) -> Tensor:
    """The complex filter (B, taps, T, 160) on bins 0..=160 of a spectrum (zero where the rate has fewer) -> (B, T, 161).

    Energy below 25 Hz leaks into bin 1, which the network receives, so the real bin 0 uses the filter of bin 1. Likewise
    bin 160, the real last bin at 16 kHz, uses that of bin 159, because training only ever reaches one part of its own."""
    low = F.pad(low_band(spectrum), (1, 0))
    low[..., 0] = spectrum[..., 0]
    y = apply_filter(torch.cat([mask[..., :1], mask[..., :-1], mask[..., -2:-1]], -1), low, ahead)
    return torch.cat([y[..., :1].real + 0j, y[..., 1:]], -1)


def filter_heads(mask: Tensor, spectrum: Tensor, heads: int, ahead: int = 0) -> tuple[Tensor, ...]:
    """`filter_low` of every head's part of the mask (B, heads taps, T, 160); the spectrum (B, T, 161) gets no gradient."""
    if mask.requires_grad and mask.dtype == torch.complex64 and fast(mask.real):
        y = Filter.apply(torch.view_as_real(mask), torch.view_as_real(spectrum).contiguous(), heads, ahead)
        return torch.view_as_complex(y).unbind(1)
    return tuple(filter_low(m, spectrum, ahead) for m in mask.chunk(heads, 1))


def expand(spectrum: Tensor, kept: Tensor) -> Tensor:
    """Downward expander for frames in which the network found no voice, (B, T, bins) -> gains.

    If every 800 Hz band keeps less than -33 dB, the frame is reduced by the number of dB that the loudest band is below that,
    at most 20 dB. Bands 40 dB below the frame's level are ignored."""
    bands = (spectrum.shape[-1] - 1) // EXPANDER_BAND
    heard, left = (power(x[..., 1 : 1 + bands * EXPANDER_BAND]).unflatten(-1, (bands, -1)).sum(-1) for x in (spectrum, kept))
    faint = 1e-4 * power(spectrum).sum(-1, keepdim=True) + 1e-14
    most = (left / torch.maximum(heard, faint)).amax(-1, keepdim=True)
    return kept * (most / EXPANDER_THRESHOLD).sqrt().clamp(0.1, 1)


def set_apart(spectrum: Tensor, kept: Tensor) -> Tensor:
    """More contrast between the low band's gains, (B, T, bins): `Contrast` in src/engine.

    The log gains of 24 ERB bands, at least -40 dB, move away from their mean over seven bands, but not above 0 dB: fully if
    the mean of all is -10 dB or less, not at all at 0 dB."""
    edges = [edge for edge in erb_edges(1, LOW_BINS + 1, LOW_BANDS) if edge <= spectrum.shape[-1]]
    means, between = (f(edges).to(kept.real) for f in (band_means, band_interpolation))
    before, after = (power(x[..., 1 : edges[-1]]) @ means + 1e-14 for x in (spectrum, kept))
    level = (after / before).clamp(1e-4, 2).log()
    mean = F.pad(level, (CONTRAST_AROUND, CONTRAST_AROUND), mode="replicate").unfold(-1, 2 * CONTRAST_AROUND + 1, 1).mean(-1)
    share = CONTRAST * (level.mean(-1, keepdim=True) / math.log(0.1)).clamp(0, 1)
    gain = (torch.minimum(share * (level - mean), -level.clamp(max=0)) / 2).exp() @ between
    return torch.cat([kept[..., :1] * gain[..., :1], kept[..., 1 : edges[-1]] * gain, kept[..., edges[-1] :]], -1)


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
        set_apart(frame, expand(frame, _kept(frame, *parts, spectrum, model.sizes.taps_ahead)))
        for frame, *parts in zip(frames, mask.chunk(heads, 1), gains.chunk(heads, -1))
    ]
    if sensitivity_db:
        kept = [lean(frame, y, sensitivity_db) for frame, y in zip(frames, kept)]
    return istft(kept[0], rate, *kept[1:])[:, :n]


def _kept(frame: Tensor, mask: Tensor, gains: Tensor, spectrum: Tensor, ahead: int) -> Tensor:
    """Applies one head's filter and gains to its frames."""
    y = torch.zeros_like(frame)
    count = min(LOW_BINS + 1, y.shape[-1])
    y[..., :count] = filter_low(mask, spectrum, ahead)[..., :count]
    if y.shape[-1] > LOW_BINS + 1:
        g = at_the_edge(gains, y.shape[-1]) @ gain_matrix().to(gains.device)
        g = torch.cat([g, g[..., -1:].expand(*g.shape[:2], max(y.shape[-1] - LOW_BINS - 1 - HIGH_BINS, 0))], -1)
        y[..., LOW_BINS + 1 :] = frame[..., LOW_BINS + 1 :] * g[..., : y.shape[-1] - LOW_BINS - 1]
    return y
