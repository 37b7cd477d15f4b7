"""A GPU's step is one CUDA graph: nothing in it may depend on the data in shape, or read a value back to the host."""

import argparse

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import train
from loss import Loss
from model import Dccrn, Sizes
from soap import Soap


@pytest.mark.parametrize("optimizer", ["soap", "adamw"])
def test_a_step_is_static(monkeypatch, optimizer):
    monkeypatch.setenv("WISP_NO_CPP", "1")
    for module in ("model", "fused"):
        monkeypatch.setattr(module + ".fused", lambda: None)
    a = argparse.Namespace(clip=3.0, ema=0.99)
    loss = Loss(pesq=0.3, stoi=4.0, envelope=0.7, level=0.1, residue=0.5)
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = Dccrn(Sizes(blocks=1, low_hidden=8, full_hidden=16, heads=2)).train()
        ema = Dccrn(model.sizes)
        parameters = [p for p in model.parameters() if p.numel()]
        if optimizer == "soap":
            opt = Soap(parameters)
        else:
            opt = torch.optim.AdamW(parameters, lr=1e-3, foreach=True)
        for name in ("bands", "gains", "wide_means", "narrow_means", "wide_last", "narrow_last", "high_last"):
            setattr(loss, name, torch.empty_like(getattr(loss, name)))
        batch = dict(bandwidth=torch.empty(4), reference=torch.empty(4))
        for name in ("noisy", "clean"):
            batch |= {name + "48": torch.empty(1, 48000), name + "16": torch.empty(3, 16000)}
        step = train.Step(model, model, ema, opt, loss, a, graph=False)
        step.rate = torch.tensor(1e-3)  # a tensor, as a GPU's AdamW has it; on CPUs it reads that back
        total, parts, norm = step._body(batch, 0.99)
        assert total.shape == norm.shape == () and {"pesq", "stoi", "envelope", "level", "residue"} <= parts.keys()
