"""Reads checkpoints, and makes small ones.

    python checkpoint.py runs/first/last.pt small.pt
    python train.py --cache CACHE --out runs/again --resume small.pt ...

`last.pt` contains everything a run needs to continue. The small form keeps the weights unchanged; the differences of the averaged weights
and SOAP's momentum in 8 bits; its second moments as 8-bit logarithms; and its eigenbases in 8 bits, orthogonalised
again on loading. Of the preconditioners' products it keeps only the part along the eigenbases; the rest would be forgotten within
about twenty steps.
"""

import argparse
import os
from pathlib import Path

import torch
from torch import Tensor

from model import Dccrn, Sizes


def linear(x: Tensor) -> dict:
    """8 bits, scaled along the last dimension."""
    if not x.numel():
        return dict(code=x.to(torch.int8), scale=x.new_ones(1))
    scale = x.abs().amax(-1, keepdim=True).clamp_min(1e-30) / 127
    return dict(code=(x / scale).round().to(torch.int8), scale=scale.float())


def logarithmic(x: Tensor) -> dict:
    """8-bit logarithm of non-negative values; 0 stays 0."""
    there = x > 0
    logs = torch.where(there, x.double().clamp_min(1e-300).log2(), 0)
    low, high = (float(logs[there].min()), float(logs[there].max())) if there.any() else (0.0, 0.0)
    code = ((logs - low) / max(high - low, 1e-9) * 254).round() + 1
    return dict(code=torch.where(there, code, 0).to(torch.uint8), low=low, high=high)


def restored(packed: dict) -> Tensor:
    code = packed["code"]
    if "scale" in packed:
        return code.float() * packed["scale"]
    logs = packed["low"] + (code.double() - 1) / 254 * (packed["high"] - packed["low"])
    return torch.where(code > 0, 2.0**logs, 0).float()


def shrink(state: dict) -> dict:
    """The small form of a SOAP checkpoint."""
    stacks = []
    for stack in state["opt"]["stacks"]:
        small = dict(momentum=linear(stack["momentum"]), second=logarithmic(stack["second"]))
        for side in "01":
            if f"basis{side}" in stack:
                basis, product = stack[f"basis{side}"], stack[f"product{side}"]
                small[f"basis{side}"] = linear(basis.mT.contiguous())
                small[f"along{side}"] = (basis * (product @ basis)).sum(1)
        stacks.append(small)
    moved = {}
    for name, value in state["ema"].items():
        own = state["model"][name]
        moved[name] = linear(value - own) if value.is_floating_point() and value.dim() else value
    return state | dict(small=1, ema=moved, opt=dict(count=state["opt"]["count"], stacks=stacks))


def expand(state: dict) -> dict:
    stacks = []
    for small in state["opt"]["stacks"]:
        stack = dict(momentum=restored(small["momentum"]), second=restored(small["second"]))
        for side in "01":
            if f"basis{side}" in small:
                q, r = torch.linalg.qr(restored(small[f"basis{side}"]).mT)
                basis = q * r.diagonal(dim1=1, dim2=2).sign()[:, None, :]
                stack[f"basis{side}"] = basis
                stack[f"product{side}"] = (basis * small[f"along{side}"][:, None, :]) @ basis.mT
        stacks.append(stack)
    ema = {k: state["model"][k] + restored(v) if isinstance(v, dict) else v for k, v in state["ema"].items()}
    whole = state | dict(ema=ema, opt=dict(count=state["opt"]["count"], stacks=stacks))
    whole.pop("small")
    return whole


def load(path: str | Path, device="cpu") -> dict:
    """Loads a full or small checkpoint, whole."""
    state = torch.load(path, map_location=device, weights_only=True)
    return expand(state) if state.get("small") else state


def load_network(path: str | Path, averaged: bool = True) -> tuple[Dccrn, dict]:
    """The network (by default with the averaged weights) in evaluation mode, and the checkpoint's metadata."""
    c = load(path)
    model = Dccrn(Sizes.read(c["sizes"]))
    model.load_state_dict(c["ema"] if averaged and "ema" in c else c["model"])
    before = c.get("before", {"step": 0, "hours": 0.0})
    about = {k: c.get(k, 0) + before[k] for k in ("step", "hours")}
    return model.eval(), {"step": int(about["step"]), "hours": round(float(about["hours"]), 2)}


@torch.no_grad()
def blend(model: Dccrn, other: Dccrn, share: float) -> None:
    """Moves the weights by `share` towards those of another checkpoint of the same run (Izmailov et al. 2018)."""
    if model.sizes != other.sizes:
        raise SystemExit(f"blend: sizes {other.sizes}, expected {model.sizes}")
    if not 0 <= share <= 1:
        raise SystemExit(f"blend: share {share}, expected 0 to 1")
    theirs = other.state_dict()
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            value.lerp_(theirs[name], share)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint")
    p.add_argument("small")
    a = p.parse_args()
    state = torch.load(a.checkpoint, map_location="cpu", weights_only=True)
    if "stacks" not in state["opt"]:
        raise SystemExit(f"{a.checkpoint}: expected a checkpoint from --optimizer soap")
    torch.save(shrink(state), a.small)
    print(a.small, f"{os.path.getsize(a.small) / 1e6:.2f} MB of {os.path.getsize(a.checkpoint) / 1e6:.2f}")


if __name__ == "__main__":
    main()
