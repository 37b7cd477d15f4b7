"""What the network is trained for."""

import importlib
import warnings

import torch
import torch.nn.functional as F
from torch import Tensor

import dsp
from model import COMPRESSION, LOW_BINS

MOST_DB = 40  # a distortion ratio beyond this is as good
LONG = 1024  # samples at 16 kHz, 64 ms: a voice's harmonics stand apart


def _compressed(x: Tensor) -> tuple[Tensor, Tensor]:
    """|X|^0.3 and X |X|^(0.3-1), with a floor that keeps the gradient finite."""
    p = dsp.power(x) + 1e-9
    return p.pow(COMPRESSION / 2), x * p.pow((COMPRESSION - 1) / 2)


def _long_stft(x: Tensor) -> Tensor:
    """(B, N) at 16 kHz -> (B, T, 513): 64 ms of a Hann window every 16 ms, scaled as `dsp.stft`."""
    return torch.fft.rfft(x.unfold(-1, LONG, LONG // 4) * torch.hann_window(LONG, device=x.device)) * (2 / LONG)


def _below(frequencies: Tensor, bandwidth: Tensor) -> Tensor:
    """(B, 1, F): 1 where something is known of the target."""
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


def _stoi_loss():
    """Minus the short-time objective intelligibility (Taal et al. 2011) of each item, as torch-stoi computes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch-stoi names torchaudio's filter by its old name
        return _imported("torch_stoi", "NegSTOILoss", "--stoi")(sample_rate=16000)


def _pesq_distance():
    """PESQ's disturbances (ITU-T P.862) as torch-pesq computes them, its two recursive filters applied as spectra: the
    samples' own recursion, and its gradient, would cost a quarter of a training step."""
    PesqLoss = _imported("torch_pesq", "PesqLoss", "--pesq")

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


class Loss:
    """Compressed magnitude and complex spectrum of the re-analysed output (low band) over 20 ms and, with a share of `long`,
    over 64 ms, compressed magnitude (high band), and signal-to-distortion ratio. Each item is scaled to the same speech
    level first, so that quiet ones count alike.

    At 20 ms what lies between a voice's harmonics is hidden by them; so several resolutions, as DeepFilterNet2 has them
    (Schroeter et al. 2022, arXiv 2205.05474). The distortion ratio is against the target itself, not its scaled
    projection: it sees gain and polarity.
    """

    def __init__(self, magnitude=0.7, complex_=0.3, cut=0.3, high=0.5, sdr=0.04, pesq=0.0, stoi=0.0, long=0.5):
        self.weights = dict(cut=cut, high=high, sdr=sdr, pesq=pesq, stoi=stoi)
        for name, weight in (("magnitude", magnitude), ("complex", complex_)):
            self.weights |= {name: (1 - long) * weight, "long_" + name: long * weight}
        self.pesq = _pesq_distance() if pesq else None
        self.stoi = _stoi_loss() if stoi else None
        self.bands, self.gains = dsp.band_matrix(), dsp.gain_matrix()

    def __call__(self, model, batch: dict) -> tuple[Tensor, dict]:
        noisy, clean = {}, {}
        for name, out in (("noisy", noisy), ("clean", clean)):
            low, high = [], None
            if name + "48" in batch:
                s = dsp.stft(batch[name + "48"], 48000)
                low.append(s[..., : LOW_BINS + 1])
                high = dsp.high_bins(s)
            if name + "16" in batch:
                low.append(dsp.stft(batch[name + "16"], 16000))
            out["low"], out["high"] = torch.cat(low), high
        device = noisy["low"].device
        b, t, _ = noisy["low"].shape
        full = 0 if noisy["high"] is None else len(noisy["high"])
        energy = torch.zeros(b, t, self.bands.shape[1], device=device)
        if full:
            energy[:full] = dsp.power(noisy["high"]) @ self.bands.to(device)
        mask, gains = model(dsp.compress(noisy["low"][..., 1:]), dsp.band_features(energy))
        estimate = dsp.filter_low(mask, noisy["low"])

        level = (0.1 / batch["reference"]).view(-1, 1)
        known = _below(torch.arange(LOW_BINS + 1, device=device) * 50, batch["bandwidth"])
        wave, target = (dsp.istft(low * known, 16000) * level for low in (estimate, clean["low"]))
        part = {}
        for name, stft in (("", lambda x: dsp.stft(x, 16000)), ("long_", _long_stft)):
            y, s = stft(wave), stft(target)
            known = _below(torch.arange(y.shape[-1], device=device) * (8000 / (y.shape[-1] - 1)), batch["bandwidth"])
            share = known.mean().clamp_min(1e-3)
            (y_mag, y_complex), (s_mag, s_complex) = _compressed(y), _compressed(s)
            part[name + "magnitude"] = ((y_mag - s_mag).square() * known).mean() / share
            part[name + "complex"] = (torch.view_as_real(y_complex - s_complex).square().sum(-1) * known).mean() / share
            if not name:
                part["cut"] = (F.relu(s_mag - y_mag).square() * known).mean() / share
        if full:
            g = gains[:full].float() @ self.gains.to(device)
            scale = level[:full, :, None]
            n_mag, c_mag = (dsp.power(v["high"] * scale) + 1e-9 for v in (noisy, clean))
            known = _below((LOW_BINS + 1 + torch.arange(dsp.HIGH_BINS, device=device)) * 50, batch["bandwidth"][:full])
            out = (n_mag * g.square() + 1e-9).pow(COMPRESSION / 2)
            part["high"] = ((out - c_mag.pow(COMPRESSION / 2)).square() * known).mean() / known.mean().clamp_min(1e-3)
        else:
            part["high"] = 0 * gains.float().sum()  # every weight gets a gradient: DistributedDataParallel waits for it
        voiced = target.square().mean(1) > 1e-6
        sdr = 10 * torch.log10((target.square().sum(1) + 1e-4) / ((target - wave).square().sum(1) + 1e-4))
        part["sdr"] = -(sdr.clamp_max(MOST_DB) * voiced).sum() / voiced.sum().clamp_min(1)
        w = self.weights
        total = 400 * sum(w[k] * part[k] for k in part if k != "sdr") + w["sdr"] * part["sdr"]
        if (self.pesq or self.stoi) and voiced.any():
            # Half of the items, another half each step: they are dear.
            some = torch.nonzero(voiced).flatten()
            some = some[torch.randperm(len(some), device=device)[: max(b // 2, 1)]]
            if self.pesq:
                part["pesq"] = self.pesq.to(device)(target[some], wave[some]).mean()
            if self.stoi:
                with torch.autocast(device.type, enabled=False):
                    part["stoi"] = 1 + self.stoi.to(device)(wave[some].float(), target[some].float()).mean()
            total = total + sum(w[k] * part[k] for k in ("pesq", "stoi") if k in part)
        return total, {k: float(v.detach()) for k, v in part.items()}
