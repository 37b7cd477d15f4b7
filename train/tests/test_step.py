"""A GPU's step with its graph left out against a CPU's: the same items, the same losses and weights, step by step."""

import argparse
import copy
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

import train
from conftest import TRAIN, voice
from loss import Loss
from model import Dccrn, Sizes
from soap import Soap

STEPS = 20


def batches(count=3):
    rng, out = np.random.default_rng(8), []
    for _ in range(count):
        batch = dict(bandwidth=torch.tensor([24000.0, 8000.0]), reference=torch.tensor([0.1, 0.05]))
        for rate in (48, 16):
            clean = voice(rng, 0.13, rate * 1000)[None]
            noise = 0.05 * rng.standard_normal(clean.shape)
            batch[f"clean{rate}"], batch[f"noisy{rate}"] = (torch.from_numpy(np.float32(x)) for x in (clean, clean + noise))
        out.append(batch)
    return out


def taken(steps=STEPS):
    """-> losses and gradients' norms of every step, weights before and after, averages."""
    torch.manual_seed(4)
    model = Dccrn(Sizes(blocks=1, channels=(4, 8, 8), mix_hidden=8, hidden=16, taps=2, low_hidden=8, full_hidden=16, heads=2)).train()
    torch.nn.init.normal_(model.low_memory.linear.weight, std=0.05)
    before = copy.deepcopy(model.state_dict())
    ema, opt = copy.deepcopy(model).eval(), Soap([p for p in model.parameters() if p.numel()], every=5)
    step = train.Step(model, model, ema, opt, Loss(envelope=0.7, level=0.1), argparse.Namespace(clip=3.0, ema=0.9), graph=False)
    data, rows = batches(), []
    for k in range(steps):
        total, _, norm = step(data[k % len(data)], k, 1e-3)
        rows.append((float(total), float(norm)))
    return dict(rows=torch.tensor(rows), before=before, after=model.state_dict(), ema=ema.state_dict())


# What a GPU runs, by Triton's interpreter: the kernels in place of fused.cpp, batch norm by PyTorch.
ON_A_GPU = """
import sys, torch
sys.path.insert(0, "tests")
import model, scan
from test_step import taken

scan.Scan.PRECISION = "ieee"
scan.ROWS = 64  # fewer programs: the interpreter is slow


def forward(self, x, along, reverse=False):
    return scan.Scan.apply(x.float(), self.w, self.b, self.u, self.cn, self.g, self.bg, along, reverse)


model.GhostGru.forward = forward
torch.save(taken(), sys.argv[1])
"""


def test_twenty_steps_of_a_gpu_are_those_of_a_cpu(tmp_path):
    pytest.importorskip("triton", reason="Triton is not installed: the GPU's step is not tested")
    env = os.environ | dict(TRITON_INTERPRET="1", WISP_NO_CPP="1", OMP_NUM_THREADS="1")
    done = subprocess.run(
        [sys.executable, "-c", ON_A_GPU, str(tmp_path / "gpu.pt")], cwd=TRAIN, env=env, capture_output=True, text=True
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    gpu, cpu = torch.load(tmp_path / "gpu.pt"), taken()
    assert cpu["rows"][-3:, 0].mean() < 0.95 * cpu["rows"][:3, 0].mean()  # it learned
    torch.testing.assert_close(gpu["rows"][:2], cpu["rows"][:2], rtol=1e-5, atol=0)
    # From the third step on the second moments in the new bases divide by what is rounding alone: where a gradient is next to nothing
    # two CPUs part as far (fused.cpp against the plain loop: losses by 7e-4, weights by .013 of their way).
    torch.testing.assert_close(gpu["rows"][:, 0], cpu["rows"][:, 0], rtol=3e-3, atol=0)
    for which in ("after", "ema"):
        names = [n for n, v in cpu[which].items() if v.is_floating_point()]
        moved = torch.cat([(cpu[which][n] - cpu["before"][n]).flatten() for n in names])
        apart = torch.cat([(cpu[which][n] - gpu[which][n]).flatten() for n in names])
        assert apart.norm() < 0.05 * moved.norm()


@pytest.mark.parametrize("optimizer", ["soap", "adamw"])
def test_a_gradient_that_is_not_finite_moves_nothing(optimizer):
    torch.manual_seed(4)
    model = torch.nn.Linear(3, 2)
    parameters = list(model.parameters())
    opt = Soap(parameters) if optimizer == "soap" else torch.optim.AdamW(parameters, lr=torch.tensor(1e-3))

    def loss(net, batch):
        return net(batch["x"]).square().mean(), {}

    a = argparse.Namespace(clip=3.0, ema=0.9)
    step = train.Step(model, model, copy.deepcopy(model), opt, loss, a, graph=False)
    good, bad = dict(x=torch.ones(4, 3)), dict(x=torch.full((4, 3), torch.nan))
    for k in range(3):
        step(good, k, 1e-2)
    before = copy.deepcopy(model.state_dict())
    step(bad, 3, 1e-2)
    assert int(step.left_out) == 1
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    step(good, 4, 1e-2)
    assert int(step.left_out) == 1 and all(torch.isfinite(p).all() for p in parameters)
    assert float((model.weight - before["weight"]).detach().abs().max()) > 1e-4
