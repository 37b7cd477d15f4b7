"""What the network is trained for."""

import torch
import torch.nn.functional as F
from torch import Tensor

import dsp
from model import COMPRESSION, LOW_BINS, apply_filter


def _compressed(x: Tensor) -> tuple[Tensor, Tensor]:
    """|X|^0.3 and X |X|^(0.3-1), with a floor that keeps the gradient finite."""
    p = dsp.power(x) + 1e-9
    return p.pow(COMPRESSION / 2), x * p.pow((COMPRESSION - 1) / 2)


class Loss:
    """Compressed magnitude and complex spectrum of the re-analysed output (low band), compressed magnitude (high band),
    and signal-to-distortion ratio. Each item is scaled to the same speech level first, so that quiet ones count alike.

    The distortion ratio is against the target itself, not its scaled projection: it sees gain and polarity.
    """

    def __init__(self, magnitude=0.7, complex_=0.3, cut=0.25, high=0.5, sdr=0.02):
        self.weights = dict(magnitude=magnitude, complex=complex_, cut=cut, high=high, sdr=sdr)
        self.bands, self.gains = dsp.band_matrix(), dsp.gain_matrix()

    def __call__(self, model, batch: dict) -> tuple[Tensor, dict]:
        noisy, clean = {}, {}
        for name, out in (("noisy", noisy), ("clean", clean)):
            low, high = [], None
            if name + "48" in batch:
                s = dsp.stft(batch[name + "48"], 48000)
                low.append(dsp.low_band(s))
                high = dsp.high_bins(s)
            if name + "16" in batch:
                low.append(dsp.low_band(dsp.stft(batch[name + "16"], 16000)))
            out["low"], out["high"] = torch.cat(low), high
        device = noisy["low"].device
        b, t, _ = noisy["low"].shape
        full = 0 if noisy["high"] is None else len(noisy["high"])
        energy = torch.zeros(b, t, self.bands.shape[1], device=device)
        if full:
            energy[:full] = dsp.power(noisy["high"]) @ self.bands.to(device)
        mask, gains = model(dsp.compress(noisy["low"]), dsp.band_features(energy))
        estimate = apply_filter(mask, noisy["low"])

        level = (0.1 / batch["reference"]).view(-1, 1)
        bins = torch.arange(1, LOW_BINS + 1, device=device) * 50
        known = (bins < batch["bandwidth"].view(-1, 1, 1)).float()  # above, nobody knows what was said
        wave, target = dsp.low_wave(estimate * known) * level, dsp.low_wave(clean["low"] * known) * level
        y, s = dsp.stft(wave, 16000)[..., 1:], dsp.stft(target, 16000)[..., 1:]
        y_mag, y_complex = _compressed(y)
        s_mag, s_complex = _compressed(s)
        share = known.mean().clamp_min(1e-3)
        part = {
            "magnitude": ((y_mag - s_mag).square() * known).mean() / share,
            "complex": (torch.view_as_real(y_complex - s_complex).square().sum(-1) * known).mean() / share,
            "cut": (F.relu(s_mag - y_mag).square() * known).mean() / share,
        }
        if full:
            g = gains[:full].float() @ self.gains.to(device)
            scale = level[:full, :, None]
            n_mag, c_mag = (dsp.power(v["high"] * scale) + 1e-9 for v in (noisy, clean))
            known = ((LOW_BINS + 1 + torch.arange(dsp.HIGH_BINS, device=device)) * 50 < batch["bandwidth"][:full].view(-1, 1, 1)).float()
            out = (n_mag * g.square() + 1e-9).pow(COMPRESSION / 2)
            part["high"] = ((out - c_mag.pow(COMPRESSION / 2)).square() * known).mean() / known.mean().clamp_min(1e-3)
        else:
            part["high"] = 0 * gains.float().sum()  # every weight gets a gradient: DistributedDataParallel waits for it
        voiced = target.square().mean(1) > 1e-6
        sdr = 10 * torch.log10((target.square().sum(1) + 1e-4) / ((target - wave).square().sum(1) + 1e-4))
        part["sdr"] = -(sdr.clamp_max(30) * voiced).sum() / voiced.sum().clamp_min(1)
        w = self.weights
        spectral = sum(w[k] * part[k] for k in part if k != "sdr")
        total = 400 * spectral + w["sdr"] * part["sdr"]
        return total, {k: float(v.detach()) for k, v in part.items()}
