"""The Triton kernels compiled for an H100, on a machine without one: none may spill its registers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import TRAIN

pytest.importorskip("triton", reason="Triton is not installed: the GPU's kernels are not compiled")

# A process of its own: elsewhere the same kernels may have been imported for the interpreter.
COMPILE = """
import os, subprocess, sys, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
import mix, scan

shipped = os.path.join(os.path.dirname(triton.__file__), "backends/nvidia/bin/cuobjdump")


def check(fn, types, fixed, warps=4):
    names = fn.arg_names
    kinds = {n: "constexpr" if n in fixed else types.get(n, "i32") for n in names}
    aligned = {(i,): [["tt.divisibility", 16]] for i, n in enumerate(names) if kinds[n].startswith("*")}
    values = {(names.index(n),): v for n, v in fixed.items()}
    source = ASTSource(fn=fn, signature=kinds, attrs=aligned, constexprs=values)
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps})
    with open("kernel.cubin", "wb") as f:
        f.write(made.asm["cubin"])
    used = subprocess.run([shipped, "-res-usage", "kernel.cubin"], capture_output=True, text=True, check=True).stdout
    print(fn.__name__, fixed.get("M", ""), "shared", made.metadata.shared, " ".join(used.split()), flush=True)


floats = dict.fromkeys(
    "gates an_p state u cn_p g_p bg_p grad rzn ds carry dgx dan_p dg_p".split(), "*fp32"
)
for m, hidden in ((16, 16), (32, 64), (48, 96)):
    fixed = scan.constants(m, hidden, False)
    check(scan._forward, floats, fixed)
    check(scan._backward, floats, fixed)
fixed = scan.constants(128, 256, False)
for fn in (scan._wide_gates, scan._wide_ghosts, scan._wide_backward_state):
    check(fn, floats, fixed)
check(scan._wide_backward_gates, floats, fixed | dict(GHOST=True))
play = dict(samples="*i16", start_p="*i64", length_p="*i64", at_p="*fp64", speed_p="*fp64", out_p="*fp32")
check(mix._play, play, dict(LOOP=True, SPREAD=False, N=mix.TAPS, BLOCK=1024))
"""

SHARED = 227 * 1024  # bytes that a program of an H100 can have
# No spill: sine and cosine keep there what the reduction of huge arguments needs, 28 bytes each.
STACK = dict(_play=56)


def test_no_kernel_spills(tmp_path):
    if not Path(__import__("triton").__file__).parent.joinpath("backends/nvidia/bin/cuobjdump").exists():
        pytest.skip("Triton comes without cuobjdump: registers are not counted")
    env = os.environ | dict(PYTHONPATH=str(TRAIN), TRITON_CACHE_DIR=str(tmp_path / "cache"))
    env.pop("TRITON_INTERPRET", None)
    done = subprocess.run([sys.executable, "-c", COMPILE], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.findall(r"^(\w+) .*?shared (\d+).* STACK:(\d+)", done.stdout, re.M)
    assert len(found) == 11, done.stdout
    for name, shared, stack in found:
        assert int(stack) <= STACK.get(name, 0), f"{name} spills {stack} bytes\n{done.stdout}"
        assert int(shared) <= SHARED, f"{name} wants {shared} bytes of shared memory"
