"""The loops of fused.cpp, for training on CPUs."""

import functools
import os
import subprocess
import sys

import torch
from torch import Tensor


@functools.cache
def fused():
    """The loops of fused.cpp, or None without a C++ compiler (model.py and dsp.py then do the same in Python)."""
    if os.environ.get("WISP_NO_CPP"):
        return None
    try:
        from torch.utils.cpp_extension import load

        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fused.cpp")
        return load("wisp_fused", [source], extra_cflags=["-O3", "-march=native", "-ffast-math"])
    except (RuntimeError, OSError, ImportError, subprocess.CalledProcessError) as error:
        print(f"fused.py: without the C++ loops ({str(error).splitlines()[0]}): slower", file=sys.stderr)
        return None


def fast(x: Tensor):
    """`fused` where it can work on x."""
    return x.dtype == torch.float32 and x.device.type == "cpu" and fused()


class Mask(torch.autograd.Function):
    """x (B, T, F, 2C), real parts first, plus low (B, T, L, 2C) on the lowest bins, bounded by tanh, times gains (B, heads, T, F)
    -> (B, C, T, F, 2)."""

    @staticmethod
    def forward(ctx, x, low, gains):
        ctx.save_for_backward(x, low, gains)
        return fused().mask_forward(x, low, gains)

    @staticmethod
    def backward(ctx, grad):
        x, low, gains = ctx.saved_tensors
        dx, dgains = fused().mask_backward(grad.contiguous(), x, low, gains)
        return dx, dx[:, :, : low.shape[2]], dgains


class Filter(torch.autograd.Function):
    """mask (B, heads taps, T, F, 2) on a spectrum (B, T, F + 1, 2), which gets no gradient -> (B, heads, T, F + 1, 2).
    Each head's first `ahead` taps are for later frames."""

    @staticmethod
    def forward(ctx, mask, spectrum, heads, ahead):
        ctx.save_for_backward(spectrum)
        ctx.taps, ctx.ahead = mask.shape[1] // heads, ahead
        return fused().filter_forward(mask, spectrum, heads, ahead)

    @staticmethod
    def backward(ctx, grad):
        return fused().filter_backward(grad.contiguous(), *ctx.saved_tensors, ctx.taps, ctx.ahead), None, None, None


class Differences(torch.autograd.Function):
    """y and s (B, T, F, 2), s without a gradient, known (B, F), exponent -> (3): sums of the squared differences of compressed
    magnitudes, of compressed spectra, and of magnitudes where y's is the smaller."""

    @staticmethod
    def forward(ctx, y, s, known, exponent):
        ctx.save_for_backward(y, s, known)
        ctx.exponent = exponent
        return fused().compressed_forward(y, s, known, exponent)

    @staticmethod
    def backward(ctx, grad):
        return fused().compressed_backward(grad.contiguous(), *ctx.saved_tensors, ctx.exponent), None, None, None
