"""Makes small checkpoints.

    python resume.py runs/first/last.pt small.pt
    python train.py --cache CACHE --out runs/again --resume small.pt ...

`last.pt` contains everything a run needs to continue. The small form keeps the weights unchanged; the differences of the averaged weights
and SOAP's momentum in 8 bits; its second moments as 8-bit logarithms; and its eigenbases in 8 bits, orthogonalised
again on loading. Of the preconditioners' products it keeps only the part along the eigenbases; the rest would be forgotten within
about twenty steps.
"""

import argparse
import os

import torch
from torch import Tensor


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


def load(path: str, device) -> dict:
    """Loads a full or small checkpoint."""
    state = torch.load(path, map_location=device)
    return expand(state) if state.get("small") else state


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint")
    p.add_argument("small")
    a = p.parse_args()
    state = torch.load(a.checkpoint, map_location="cpu")
    if "stacks" not in state["opt"]:
        raise SystemExit(f"{a.checkpoint}: expected a checkpoint from --optimizer soap")
    torch.save(shrink(state), a.small)
    print(a.small, f"{os.path.getsize(a.small) / 1e6:.2f} MB of {os.path.getsize(a.checkpoint) / 1e6:.2f}")


if __name__ == "__main__":
    main()
