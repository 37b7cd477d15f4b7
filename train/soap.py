"""SOAP (Vyas et al. 2024, arXiv 2409.11321): Adam in the eigenbasis of Shampoo's preconditioner, batched by shape.

A tensor with two or more dimensions counts as a matrix, its first dimension against the rest. Matrices of the same shape are stacked and
multiplied together, so that a step takes about twenty products per shape, however many layers there are. Vectors use
Adam. `step` does the same work at each call and reads nothing back, so that a CUDA graph can capture it; `refresh`, which updates the
eigenbases with one step of orthogonal iteration, is called between steps.
"""

import torch
from torch import Tensor

EPSILON = 1e-8


class Soap(torch.optim.Optimizer):
    """Betas of the momentum and of the second moment; the preconditioners use the second. `lr` is a tensor, so that it can change
    between replays of a graph. Dimensions beyond `largest` are not rotated."""

    def __init__(self, parameters, lr: float = 2e-3, betas=(0.95, 0.95), weight_decay: float = 1e-3, every: int = 10, largest: int = 1024):
        parameters = [p for p in parameters if p.numel()]
        super().__init__(parameters, dict(betas=betas, weight_decay=weight_decay))
        self.every, self.largest = every, largest
        first = parameters[0]
        self.rate = torch.tensor(float(lr), device=first.device)
        self.count = torch.zeros((), device=first.device)
        shapes: dict = {}
        for p in parameters:
            shapes.setdefault((len(p), p.numel() // len(p)) if p.dim() > 1 else (p.numel(),), []).append(p)
        self.stacks = [_Stack(members, shape, largest) for shape, members in shapes.items()]

    @torch.no_grad()
    def step(self, closure=None) -> None:
        """The first gradient only initialises the preconditioners; no parameter changes."""
        group = self.param_groups[0]
        self.count += 1
        for stack in self.stacks:
            stack.step(self.rate, self.count, *group["betas"], group["weight_decay"])

    @torch.no_grad()
    def refresh(self, steps: int) -> None:
        """Call after each step with the number of steps taken; it updates after the first step and then every few."""
        if steps == 1:
            for stack in self.stacks:
                stack.start()
        elif steps % self.every == 0:
            for stack in self.stacks:
                stack.turn()

    def state_dict(self) -> dict:
        return dict(count=self.count, stacks=[stack.state for stack in self.stacks])

    @torch.no_grad()
    def load_state_dict(self, state: dict) -> None:
        self.count.copy_(state["count"])
        for stack, saved in zip(self.stacks, state["stacks"], strict=True):
            for key, value in stack.state.items():
                value.copy_(saved[key])


class _Stack:
    """Parameters of one shape."""

    def __init__(self, members: list[Tensor], shape: tuple, largest: int):
        self.members, self.shape = members, shape
        like = members[0]
        zeros = lambda *size: torch.zeros(len(members), *size, device=like.device)  # noqa: E731
        self.state = {"momentum": zeros(*shape), "second": zeros(*shape)}
        self.sides = [k for k, n in enumerate(shape) if len(shape) == 2 and 1 < n <= largest]
        for side in self.sides:
            n = shape[side]
            self.state[f"product{side}"] = zeros(n, n)
            self.state[f"basis{side}"] = torch.eye(n, device=like.device).repeat(len(members), 1, 1)

    def turned(self, x: Tensor, back: bool = False) -> Tensor:
        """Rotates into the eigenbasis, or back."""
        for side in self.sides:
            basis = self.state[f"basis{side}"]
            if side == 0:
                x = (basis if back else basis.mT) @ x
            else:
                x = x @ (basis.mT if back else basis)
        return x

    def step(self, rate: Tensor, count: Tensor, beta1: float, beta2: float, decay: float) -> None:
        s = self.state
        g = torch.stack([p.grad.reshape(self.shape) for p in self.members])
        # Nothing changes until there is a basis with a second moment in it.
        moving = (count > 1).float() if self.sides else 1.0
        s["momentum"].lerp_(g, 1 - beta1)
        turned = self.turned(g)
        s["second"].lerp_(turned.square(), 1 - beta2)
        started = count - 1 if self.sides else count
        correct1, correct2 = 1 - beta1**count, 1 - beta2 ** started.clamp_min(1)
        size = (s["second"] / correct2).sqrt() + EPSILON
        update = self.turned(self.turned(s["momentum"]) / correct1 / size, back=True)
        for side in self.sides:
            s[f"product{side}"].lerp_(g @ g.mT if side == 0 else g.mT @ g, 1 - beta2)
        torch._foreach_mul_(self.members, 1 - rate * decay * moving)
        change = (update * (rate * moving)).unbind(0)
        torch._foreach_sub_(self.members, [c.view_as(p) for c, p in zip(change, self.members)])

    def start(self) -> None:
        """Eigenvectors of the first products."""
        for side in self.sides:
            product = self.state[f"product{side}"]
            scale = product.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-30)[:, None, None]
            eye = torch.eye(product.shape[1], device=product.device)
            self.state[f"basis{side}"].copy_(torch.linalg.eigh((product / scale + 1e-6 * eye).double())[1].float().flip(2))
        if self.sides:
            self.state["second"].zero_()  # it was not in this basis

    def turn(self) -> None:
        """One step of orthogonal iteration; the columns in the order of their eigenvalues, and the second moment with them."""
        for side in self.sides:
            product, basis = self.state[f"product{side}"], self.state[f"basis{side}"]
            values = (basis * (product @ basis)).sum(1)
            order = values.argsort(1, descending=True)
            second = self.state["second"]
            index = order[:, :, None] if side == 0 else order[:, None, :]
            second.copy_(second.gather(side + 1, index.expand_as(second)))
            basis = basis.gather(2, order[:, None, :].expand_as(basis))
            basis = product @ basis
            scale = basis.norm(dim=1).amax(1).clamp_min(1e-30)[:, None, None]
            self.state[f"basis{side}"].copy_(torch.linalg.qr(basis / scale)[0])
