"""SOAP: the paper's algorithm one matrix at a time in float64, batching, and what a restart needs."""

import copy

import pytest
import torch

from soap import EPSILON, Soap

RATE, BETAS, DECAY, EVERY = 3e-3, (0.95, 0.9), 1e-2, 4
SHAPES = [(6, 4), (6, 4), (6, 4), (5, 5), (3, 2, 3), (7,), (1, 9)]


def parameters(shapes=SHAPES):
    torch.manual_seed(2)
    return [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]


def gradients(shapes=SHAPES, steps=23):
    """Of unlike sizes in unlike directions, so that the eigenbases matter."""
    torch.manual_seed(3)
    tilts = [torch.randn(*shape[:1], *shape[:1]) @ torch.diag(10 ** torch.linspace(0, -2, shape[0])) for shape in shapes]
    return [[(t @ torch.randn(s).reshape(s[0], -1)).reshape(s) for t, s in zip(tilts, shapes)] for _ in range(steps)]


def run(opt, members, steps, first=0):
    for k, grads in enumerate(steps, first + 1):
        for p, g in zip(members, grads):
            p.grad = g.clone()
        opt.step()
        opt.refresh(k)


def soap(members, **changes):
    return Soap(members, **dict(lr=RATE, betas=BETAS, weight_decay=DECAY, every=EVERY) | changes)


class Paper:
    """Algorithm 3 of arXiv 2409.11321 for one matrix, and Adam for a vector; `bases`: what the first step's eigenvectors are taken to
    be, since those of equal eigenvalues are anyone's choice."""

    def __init__(self, w, bases):
        self.w, self.bases = w.double().clone(), [q.double() for q in bases]
        self.m, self.v = torch.zeros_like(self.w), torch.zeros_like(self.w)
        self.products = [0.0, 0.0]

    def into(self, x, back=False):
        for side, q in enumerate(self.bases):
            q = q.T if back else q
            x = q.T @ x if side == 0 else x @ q
        return x

    def step(self, g, k):
        g, (b1, b2) = g.double(), BETAS
        self.m = b1 * self.m + (1 - b1) * g
        if k > 1 or not self.bases:
            seen = k - 1 if self.bases else k
            self.v = b2 * self.v + (1 - b2) * self.into(g) ** 2
            scaled = self.into(self.m) / (1 - b1**k) / ((self.v / (1 - b2**seen)).sqrt() + EPSILON)
            self.w -= RATE * DECAY * self.w
            self.w -= RATE * self.into(scaled, back=True)
        if self.bases:
            for side, product in enumerate((g @ g.T, g.T @ g)):
                self.products[side] = b2 * self.products[side] + (1 - b2) * product
            if k > 1 and k % EVERY == 0:
                for side, q in enumerate(self.bases):
                    size = (q * (self.products[side] @ q)).sum(0)
                    order = size.argsort(descending=True)
                    self.bases[side] = torch.linalg.qr(self.products[side] @ q[:, order])[0]
                    self.v = self.v[order] if side == 0 else self.v[:, order]


@pytest.mark.parametrize("shape", [(6, 4), (5, 5), (3, 2, 3), (7,)])
def test_steps_are_the_papers(shape):
    (p,), grads = parameters([shape]), gradients([shape])
    began = p.detach().clone()
    opt = soap([p])
    matrix = (shape[0], -1) if len(shape) > 1 else shape
    run(opt, [p], grads[:1])
    if len(shape) > 1:
        torch.testing.assert_close(p.detach(), began, rtol=0, atol=0)  # the first gradient only starts the bases
    state = opt.stacks[0].state
    bases = [state[name][0] for name in ("basis0", "basis1") if name in state]
    paper = Paper(began.reshape(matrix), bases)
    for side, q in enumerate(bases):
        torch.testing.assert_close(q.T @ q, torch.eye(len(q)), rtol=0, atol=1e-6)
        inside = q.T @ state[f"product{side}"][0] @ q
        values = inside.diagonal()
        assert (inside - torch.diag(values)).abs().max() < 1e-5 * values.max() and (values.diff() < 1e-5 * values.max()).all()
    paper.step(grads[0][0].reshape(matrix), 1)
    for k, (g,) in enumerate(grads[1:], 2):
        run(opt, [p], [[g]], k - 1)
        paper.step(g.reshape(matrix), k)
    moved, wanted = (x.double().reshape(matrix) - began.double().reshape(matrix) for x in (p.detach(), paper.w))
    assert (moved - wanted).norm() < 2e-3 * wanted.norm()
    assert wanted.norm() > 5 * RATE


def test_batched_equals_one_by_one():
    together, apart, grads = parameters(), parameters(), gradients()
    opt = soap(together)
    assert len(opt.stacks) == 5  # three matrices of one shape share a stack
    run(opt, together, grads)
    for i, p in enumerate(apart):
        run(soap([p]), [p], [[g[i]] for g in grads])
    for a, b, first in zip(together, apart, parameters()):
        assert (a - b).norm() < 1e-3 * (b - first).norm()


def test_a_large_dimension_is_not_rotated():
    members = parameters([(4, 9)])
    opt = soap(members, largest=8)
    assert opt.stacks[0].sides == [0]
    run(opt, members, gradients([(4, 9)]))
    assert torch.isfinite(members[0]).all()


def test_the_state_goes_on_to_the_bit():
    whole, parts, grads = parameters(), parameters(), gradients()
    run(soap(whole), whole, grads)
    first = soap(parts)
    run(first, parts, grads[:9])
    second = soap(parts)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    run(second, parts, grads[9:], 9)
    for a, b in zip(whole, parts):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
