"""The Triton scan, run by Triton's interpreter on a CPU, against the equations in float64."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton is not installed: the GPU scan is not tested")

CHECK = """
import torch
import model, scan

scan.Scan.PRECISION = "ieee"
torch.manual_seed(0)
for inputs, hidden, ratio, shape, along, reverse in [
    (20, 64, 2, (2, 12, 5), "time", False),
    (10, 16, 1, (3, 4, 9), "frequency", False),
    (10, 16, 1, (3, 4, 9), "frequency", True),
    (30, 96, 2, (2, 9, 1), "time", False),
    (24, 256, 2, (3, 6, 1), "time", False),
    (12, 64, 2, (2, 7, 3), "time", True),
]:
    gru = model.GhostGru(inputs, hidden, ratio).double()
    with torch.no_grad():
        gru.bg.normal_(), gru.cn.normal_()
    x = torch.randn(*shape, inputs, dtype=torch.float64, requires_grad=True)
    order, back = ((1, 0, 2, 3), (1, 0, 2, 3)) if along == "time" else ((2, 0, 1, 3), (1, 2, 0, 3))
    moved = x.permute(order)
    rows = moved.flatten(1, 2)
    y = gru.reference(rows.flip(0) if reverse else rows, x.new_zeros(rows.shape[1], hidden))
    y = (y.flip(0) if reverse else y).view(*moved.shape[:3], hidden).permute(back)
    weight = torch.randn_like(y)
    (y * weight).sum().backward()
    own = [p.detach().float().requires_grad_() for p in (gru.w, gru.b, gru.u, gru.cn, gru.g, gru.bg)]
    x32 = x.detach().float().requires_grad_()
    got = scan.Scan.apply(x32, *own, along, reverse)
    (got * weight.float()).sum().backward()
    pairs = [(got, y), (x32.grad, x.grad), *zip((p.grad for p in own), (gru.w.grad, gru.b.grad, gru.u.grad, gru.cn.grad, gru.g.grad, gru.bg.grad))]
    worst = max(float((a.double() - b).norm() / b.norm()) for a, b in pairs if b is not None and b.numel())
    print(hidden, ratio, along, reverse, f"{worst:.1e}")
    assert worst < 1e-5, (hidden, along, reverse, worst)
"""


def test_scan_equals_the_equations():
    env = dict(os.environ, TRITON_INTERPRET="1", WISP_NO_CPP="1", OMP_NUM_THREADS="1")
    folder = Path(__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, "-c", CHECK], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
