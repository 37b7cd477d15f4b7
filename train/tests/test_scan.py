"""The Triton scan, run by Triton's interpreter on a CPU, against the equations in float64."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton is not installed: the GPU scan is not tested")

CHECK = """
import torch
import scan

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
    worst = scan.worst_error(inputs, hidden, ratio, shape, along, reverse)
    print(hidden, ratio, along, reverse, f"{worst:.1e}")
    assert worst < 1e-5, (hidden, along, reverse, worst)
"""


def test_scan_equals_the_equations():
    env = dict(os.environ, TRITON_INTERPRET="1", WISP_NO_CPP="1", OMP_NUM_THREADS="1")
    folder = Path(__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, "-c", CHECK], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
