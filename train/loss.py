"""What the network is trained for."""

import importlib
import warnings

import torch
import torch.nn.functional as F
from torch import Tensor

import dsp
from dsp import COMPRESSION, HIGH_BANDS, LOW_BANDS, LOW_BINS, band_means, delay, erb_edges
from fused import Differences, fast

MOST_DB = 40  # a distortion ratio beyond this is as good
LONG = 1024  # samples at 16 kHz, 64 ms: a voice's harmonics stand apart
ENVELOPE_BANDS = 12  # nearly three ERB wide
ENVELOPE_FLOOR = 1e-8  # of a band's mean power, 60 dB or so below a voice
HIGH_FLOOR = 1e-9  # the same above 8 kHz, where voices are softer
ENVELOPE_MOST = 2.0  # decades between neighbouring errors that still count
TALK_DB = 25.0  # frames within this of the loudest one count as speech
RULES_DB = 5.0  # noise dominates a bin where it is this far above the voice


def _compressed(x: Tensor) -> tuple[Tensor, Tensor]:
    """|X|^0.3 and X |X|^(0.3-1), with a floor that keeps the gradient finite."""
    p = dsp.power(x) + 1e-9
    return p.pow(COMPRESSION / 2), x * p.pow((COMPRESSION - 1) / 2)


def _long_stft(x: Tensor) -> Tensor:
    """(B, N) at 16 kHz -> (B, T, 513): 64 ms of a Hann window every 16 ms, scaled as `dsp.stft`."""
    return dsp.spectra(x, torch.hann_window(LONG, device=x.device), LONG // 4)


def _below(frequencies: Tensor, bandwidth: Tensor) -> Tensor:
    """(B, 1, F): 1 where the target is known."""
    return (frequencies < bandwidth.view(-1, 1, 1)).float()


def _imported(module: str, name: str, option: str):
    """A part of a package that needs torchaudio, which refuses to load beside a torch built for another CUDA, even where
    none is used."""
    cuda, torch.version.cuda = torch.version.cuda, torch.version.cuda if torch.cuda.is_available() else None
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise SystemExit(f"{option} needs `pip install {module.replace('_', '-')} torchaudio` ({error})") from error
    finally:
        torch.version.cuda = cuda


def _windows(x: Tensor, kernel_size: tuple[int, int], stride=1) -> Tensor:
    """`torch.nn.functional.unfold` along the last dimension, (B, C, 1, T) -> (B, C size, windows): the original works item by
    item on a GPU."""
    windows = x.squeeze(2).unfold(-1, kernel_size[1], stride if isinstance(stride, int) else stride[1])
    return windows.transpose(2, 3).flatten(1, 2).contiguous()  # both packages change it in place


def _loud_frames(x: Tensor, mask: Tensor) -> Tensor:
    """torch-stoi's selection of frames without shapes that depend on the data: those kept first, in order, then zeros."""
    order = torch.argsort((~mask).to(torch.int8), dim=1, stable=True)
    kept = mask.gather(1, order).unsqueeze(-1).to(x.dtype)
    return x.gather(1, order.unsqueeze(-1).expand_as(x)) * kept


def _stoi_loss():
    """Minus the short-time objective intelligibility (Taal et al. 2011) of each item, as torch-stoi computes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch-stoi names torchaudio's filter by its old name
        loss = _imported("torch_stoi", "NegSTOILoss", "--stoi")(sample_rate=16000)
        module = importlib.import_module("torch_stoi.stoi")
        module._mask_audio, module.unfold = _loud_frames, _windows
        return loss


def _pesq_distance():
    """PESQ's disturbances (ITU-T P.862) as torch-pesq computes them, its two recursive filters applied as spectra: the
    samples' own recursion, and its gradient, would cost a quarter of a training step."""
    PesqLoss = _imported("torch_pesq", "PesqLoss", "--pesq")
    importlib.import_module("torch_pesq.loss").unfold = _windows

    class Distance(PesqLoss):
        def _filter(self, x: Tensor, b: Tensor, a: Tensor) -> Tensor:
            n = 1 << (x.shape[1] + 4000).bit_length()
            return torch.fft.irfft(torch.fft.rfft(x, n) * (torch.fft.rfft(b, n) / torch.fft.rfft(a, n)), n)[:, : x.shape[1]]

        def align_level(self, signal: Tensor) -> Tensor:
            band = self._filter(signal, *self.power_filter)
            power = band.square().sum(1, keepdim=True) / (band.shape[1] + 5120) / 1.04684
            return signal * (10**7 / power).sqrt()

        def preemphasize(self, signal: Tensor) -> Tensor:
            ramp = torch.ones(signal.shape[1], device=signal.device)
            ramp[:15] = torch.arange(1, 16, device=signal.device) / 16
            ramp[-15:] = ramp[:15].flip(0)
            return self._filter(signal * ramp, *self.pre_filter)

    return Distance(1.0, sample_rate=16000)


def _log_error(y: Tensor, target: Tensor, floor: float = ENVELOPE_FLOOR) -> Tensor:
    """Decades between two powers, with a floor at inaudible levels."""
    return torch.log10(y + floor) - torch.log10(target + floor)


def _smooth(error: Tensor) -> Tensor:
    return F.smooth_l1_loss(error, torch.zeros_like(error), reduction="none")


def _masked_mean(x: Tensor, known: Tensor) -> Tensor:
    """Mean of x (B, T, F) where `known` (B, 1, F) is 1."""
    return (x * known).mean() / known.mean().clamp_min(1e-3)


def _differences(y: Tensor, s: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Squared differences of complex spectra (B, T, F), compressed, where `known` (B, 1, F) is 1: of magnitudes, of spectra, and of
    magnitudes where y's is the smaller. Means."""
    if fast(torch.view_as_real(y)):
        sums = Differences.apply(*(torch.view_as_real(x).contiguous() for x in (y, s.detach())), known.squeeze(1), COMPRESSION)
        return tuple(sums / y.numel() / known.mean().clamp_min(1e-3))
    (y_mag, y_complex), (s_mag, s_complex) = _compressed(y), _compressed(s)
    between = torch.view_as_real(y_complex - s_complex).square().sum(-1)
    return tuple(_masked_mean(x, known) for x in ((y_mag - s_mag).square(), between, F.relu(s_mag - y_mag).square()))


def _residue(y: Tensor, target: Tensor, noise: Tensor, known: Tensor) -> Tensor:
    """Smooth L1 of the decades of power by which y exceeds the target, over bins where noise dominates in frames of speech. Complex
    spectra (B, T, F)."""
    voice, rival = dsp.power(target), dsp.power(noise) * 10 ** (-RULES_DB / 10)
    energy = voice.sum(-1, keepdim=True)
    talk = energy > (energy.amax(1, keepdim=True) * 10 ** (-TALK_DB / 10)).clamp_min(1e-6)
    where = talk & (rival > voice) & (rival > ENVELOPE_FLOOR)
    excess = F.relu(_log_error(dsp.power(y), voice))
    where = where * known
    return (_smooth(excess) * where).sum() / where.sum().clamp_min(1)


class Loss:
    """Compressed magnitude and complex spectrum of the re-analysed output (low band) over 20 ms and, with a share of `long`,
    over 64 ms, compressed magnitude (high band), the envelope's logarithm, and signal-to-distortion ratio. Each item is scaled
    to the same speech level first, so that quiet ones count alike.

    At 20 ms a voice's harmonics hide the noise between them, hence several resolutions, as in DeepFilterNet2 (Schroeter et
    al. 2022, arXiv 2205.05474). The distortion ratio is against the target itself, not its scaled projection, so it depends
    on gain and polarity.

    `envelope`: of the errors of log band energies, bands nearly three ERB wide, the squared differences between neighbouring
    bands and, a third as heavy, between frames 20 ms apart; `level`: those errors themselves, those that the full-band
    memory's gains alone would leave, and, half as heavy, those of the bands above 8 kHz. Patches that are cut or left are more audible
    than an even error; compressed magnitudes do not see how much noise stays above 8 kHz.

    `residue`: by how much the output exceeds the voice in those bins of the 64 ms spectrum where noise dominates during speech, mostly
    between harmonics. Compressed magnitudes are nearly blind there.

    A batch may have `wanted48` and `wanted16`, another denoiser's output for it (teacher.py): it is the target of the spectra
    and the envelope; distortion, PESQ and STOI use the clean voice.
    """

    def __init__(
        self, magnitude=0.7, complex_=0.3, cut=0.3, high=0.5, sdr=0.04, pesq=0.0, stoi=0.0, long=0.5, envelope=0.0, level=0.0,
        residue=0.0,
    ):  # fmt: skip
        self.weights = dict(cut=400 * cut, high=400 * high, sdr=sdr, pesq=pesq, stoi=stoi, envelope=envelope, level=level, residue=residue)
        for name, weight in (("magnitude", magnitude), ("complex", complex_)):
            self.weights |= {name: 400 * (1 - long) * weight, "long_" + name: 400 * long * weight}
        self.weights["high_level"] = level / 2
        self.high_alone = False  # leaves out everything below 8 kHz
        self.perceptual = 1  # what the PESQ and STOI terms of the next call count, of their weights; 0 leaves them out
        self.pesq = _pesq_distance() if pesq else None
        self.stoi = _stoi_loss() if stoi else None
        self.bands, self.gains = dsp.band_matrix(), dsp.gain_matrix()
        wide, narrow = (erb_edges(1, LOW_BINS + 1, bands) for bands in (ENVELOPE_BANDS, LOW_BANDS))
        self.wide_means, self.narrow_means = band_means(wide), band_means(narrow)
        self.wide_last, self.narrow_last, self.high_last = (
            torch.tensor([50.0 * (e - 1) for e in x[1:]]) for x in (wide, narrow, dsp.band_edges())
        )

    def to(self, device) -> "Loss":
        """Nothing is copied between devices after this: a CUDA graph could not hold it."""
        for name in ("bands", "gains", "wide_means", "narrow_means", "wide_last", "narrow_last", "high_last", "pesq", "stoi"):
            value = getattr(self, name)
            setattr(self, name, value if value is None else value.to(device))
        return self

    def __call__(self, model, batch: dict) -> tuple[Tensor, dict]:
        """-> the loss, and its parts, detached."""
        noisy, clean, wanted = {}, {}, {}
        taught = "wanted48" in batch or "wanted16" in batch
        for name, out in (("noisy", noisy), ("clean", clean), ("wanted", wanted))[: 2 + taught]:
            low, high = [], None
            if name + "48" in batch:
                s = dsp.stft(batch[name + "48"], 48000)
                low.append(s[..., : LOW_BINS + 1])
                high = dsp.high_bins(s)
            if name + "16" in batch:
                low.append(dsp.stft(batch[name + "16"], 16000))
            out["low"], out["high"] = torch.cat(low), high
        device = noisy["low"].device
        if self.bands.device != device:
            self.to(device)
        b, t, _ = noisy["low"].shape
        full = 0 if noisy["high"] is None else len(noisy["high"])
        energy = torch.zeros(b, t, self.bands.shape[1], device=device)
        if full:
            energy[:full] = dsp.power(noisy["high"]) @ self.bands
        trace: dict = {}
        mask, gains = model(dsp.compress(noisy["low"][..., 1:]), dsp.band_features(energy), trace)
        level = (0.1 / batch["reference"]).view(-1, 1)
        part = {}
        if not self.high_alone:
            ahead = getattr(model, "module", model).sizes.taps_ahead  # DistributedDataParallel has the network inside
            estimates = dsp.filter_heads(mask, noisy["low"], gains.shape[-1] // HIGH_BANDS, ahead)
            part = self._low(estimates, trace.get("envelope"), noisy["low"], clean["low"], wanted.get("low"), level, batch)
        if full:
            goal = wanted or clean
            part["high"], part["high_level"] = self._high(gains[:full].float(), noisy["high"], goal["high"], level[:full], batch)
        else:
            part["high"] = 0 * gains.float().sum()  # every weight gets a gradient: DistributedDataParallel waits for it
        scale = {name: self.perceptual for name in ("pesq", "stoi")}
        total = sum(scale.get(k, 1) * self.weights[k] * part[k] for k in part)
        return total, {k: v.detach() for k, v in part.items()}

    def _low(
        self, estimates, gains: Tensor | None, noisy: Tensor, clean: Tensor, wanted: Tensor | None, level: Tensor, batch: dict
    ) -> dict[str, Tensor]:
        """The parts up to 8 kHz, of spectra (B, T, 161); `gains` are the full-band memory's."""
        known = _below(torch.arange(LOW_BINS + 1, device=noisy.device) * 50, batch["bandwidth"])
        wave = dsp.istft(estimates[0] * known, 16000, *(x * known for x in estimates[1:])) * level
        target = dsp.istft(clean * known, 16000) * level
        noise = dsp.istft(noisy * known, 16000) * level - target if self.weights["residue"] else None
        followed = None if wanted is None else dsp.istft(wanted * known, 16000) * level
        part = self.compare(wave, target, noise, batch["bandwidth"], followed)
        if gains is not None:
            goal = clean if wanted is None else wanted
            part["level"] = part["level"] + self._gains_alone(gains, noisy, goal, level, batch)
        return part

    def compare(
        self, wave: Tensor, target: Tensor, noise: Tensor | None, bandwidth: Tensor, wanted: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The parts that depend only on low-band signals (B, N) at 16 kHz with the voice at an RMS of .1. `noise`, (B, N) or None, is
        the input minus the target, for `residue`. The target is unknown above `bandwidth`, (B) in Hz. `wanted`: the target of
        spectra and envelope, if it differs."""
        part = {}
        for name, stft in (("", lambda x: dsp.stft(x, 16000)), ("long_", _long_stft)):
            y, s = stft(wave), stft(target if wanted is None else wanted)
            known = _below(torch.arange(y.shape[-1], device=y.device) * (8000 / (y.shape[-1] - 1)), bandwidth)
            part[name + "magnitude"], part[name + "complex"], cut = _differences(y, s, known)
            if not name:
                part["cut"] = cut
                error = _log_error(*(dsp.power(x[..., 1:]) @ self.wide_means for x in (y, s)))
                whole = _below(self.wide_last, bandwidth)  # bands that are known from end to end
                across = error.diff(dim=2).clamp(-ENVELOPE_MOST, ENVELOPE_MOST).square()
                over_time = (error[:, 2:] - error[:, :-2]).clamp(-ENVELOPE_MOST, ENVELOPE_MOST).square()
                part["envelope"] = _masked_mean(across, whole[..., 1:]) + _masked_mean(over_time, whole) / 3
                part["level"] = _masked_mean(_smooth(error), whole)
            elif noise is not None:
                part["residue"] = _residue(y, s, stft(noise), known)
        voiced = target.square().mean(1) > 1e-6
        sdr = 10 * torch.log10((target.square().sum(1) + 1e-4) / ((target - wave).square().sum(1) + 1e-4))
        part["sdr"] = -(sdr.clamp_max(MOST_DB) * voiced).sum() / voiced.sum().clamp_min(1)
        b = len(wave)
        if self.perceptual and (self.pesq or self.stoi):
            # On half of the items, a different half each step, because these terms are expensive. Items with a voice first.
            order = torch.rand(b, device=wave.device) + ~voiced
            some = order.argsort()[: max(b // 2, 1)]
            share = voiced[some].float()
            count = share.sum().clamp_min(1)
            # Neither is defined for silence: a tone replaces it, with zero weight.
            tone = 0.1 * torch.sin(torch.arange(wave.shape[1], device=wave.device) * 0.3)
            y, s = (torch.where(voiced[some, None], x[some], tone) for x in (wave, target))
            if self.pesq:
                part["pesq"] = (self.pesq(s, y) * share).sum() / count
            if self.stoi:
                with torch.autocast(wave.device.type, enabled=False):
                    part["stoi"] = ((1 + self.stoi(y.float(), s.float())) * share).sum() / count
        return part

    def _gains_alone(self, gains: Tensor, noisy: Tensor, clean: Tensor, level: Tensor, batch: dict) -> Tensor:
        """The log error that the full-band memory's gains (B, T, heads 24) would leave by themselves."""
        scale = level[..., None].square()
        before, wanted = (dsp.power(x[..., 1:]) @ self.narrow_means * scale for x in (noisy, clean))
        total = 0
        for head, g in enumerate(gains.chunk(gains.shape[-1] // LOW_BANDS, -1)):
            heard, there = (delay(x, head) if head else x for x in (before, wanted))
            error = _log_error(heard * g.square(), there)
            total = total + _masked_mean(_smooth(error), _below(self.narrow_last, batch["bandwidth"]))
        return total * LOW_BANDS / gains.shape[-1]

    def _high(self, gains: Tensor, noisy: Tensor, target: Tensor, level: Tensor, batch: dict) -> tuple[Tensor, Tensor]:
        """The bins 161..=400 under the gains (B, T, heads 24): compressed magnitudes, and the log error of the 24 bands."""
        scale, heads, bandwidth = level[..., None], gains.shape[-1] // HIGH_BANDS, batch["bandwidth"][: len(gains)]
        known = _below((LOW_BINS + 1 + torch.arange(dsp.HIGH_BINS, device=gains.device)) * 50, bandwidth)
        whole = _below(self.high_last, bandwidth)
        magnitude, envelope = 0, 0
        for head, g in enumerate(gains.chunk(heads, -1)):
            heard, there = (dsp.power((delay(x, head) if head else x) * scale) for x in (noisy, target))
            out = heard * (g @ self.gains).square()
            before, after = ((x + 1e-9).pow(COMPRESSION / 2) for x in (out, there))
            magnitude = magnitude + _masked_mean((before - after).square(), known)
            envelope = envelope + _masked_mean(_smooth(_log_error(out @ self.bands, there @ self.bands, HIGH_FLOOR)), whole)
        return magnitude / heads, envelope / heads
