"""The GhostGRU recurrence on GPUs, as Triton kernels.

A program runs ROWS sequences. Step t of sequence i is row (i // inner) * so + (i % inner) * si + t * st of (N, C) tensors, so
that (B, T, F, C) is walked in place along time or frequency, as `fused.cpp` does. The state before the first step is zero;
hidden is 2 m (ghosts) or m.

Up to WIDE intrinsic units, one kernel runs the whole loop over the steps with its weights in registers. Wider ones would spill
them, so each step is two kernels, which share the units among many programs; a CUDA graph makes their launches cheap.

`TRITON_INTERPRET=1` runs the kernels on a CPU: `tests/test_scan.py` compares them with `GhostGru.reference` so.
"""

import torch
import triton
import triton.language as tl

ROWS = 16  # sequences of a program: as many as the matrix units take
WIDE = 64  # intrinsic units that still fit into registers
UNITS, DEPTH = 16, 128  # of a wide recurrence: units of a program, inputs of a product


@triton.jit
def _sigmoid(x):
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def _tanh(x):
    return 2.0 / (1.0 + tl.exp(-2.0 * x)) - 1.0


@triton.jit
def _forward(
    gates, an_p, state, u, cn_p, g_p, bg_p, rows, inner, so, si, st, steps,
    M: tl.constexpr, H: tl.constexpr, MP: tl.constexpr, R: tl.constexpr, GHOST: tl.constexpr, REV: tl.constexpr,
    PREC: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0) * R + tl.arange(0, R)
    live = i < rows
    base = (i // inner).to(tl.int64) * so + (i % inner).to(tl.int64) * si
    j = tl.arange(0, MP)
    k = tl.arange(0, MP)
    jm = j < M
    wm = jm[None, :] & (k < M)[:, None]
    at = j[None, :] * H + k[:, None]  # U transposed: [k, j]
    gat = j[None, :] * M + k[:, None]
    cn = tl.load(cn_p + j, mask=jm, other=0.0)
    if GHOST:
        bg = tl.load(bg_p + j, mask=jm, other=0.0)
    ur = tl.load(u + at, mask=wm, other=0.0)
    uz = tl.load(u + M * H + at, mask=wm, other=0.0)
    un = tl.load(u + 2 * M * H + at, mask=wm, other=0.0)
    if GHOST:
        vr = tl.load(u + M + at, mask=wm, other=0.0)
        vz = tl.load(u + M * H + M + at, mask=wm, other=0.0)
        vn = tl.load(u + 2 * M * H + M + at, mask=wm, other=0.0)
        gt = tl.load(g_p + gat, mask=wm, other=0.0)
    mask = live[:, None] & jm[None, :]
    h = tl.zeros((R, MP), tl.float32)
    s = tl.zeros((R, MP), tl.float32)
    first = gates + (base + (steps - 1 if REV else 0) * st)[:, None] * (3 * M) + j[None, :]
    gr1 = tl.load(first, mask=mask, other=0.0)
    gz1 = tl.load(first + M, mask=mask, other=0.0)
    gn1 = tl.load(first + 2 * M, mask=mask, other=0.0)
    for q in range(steps):
        t = steps - 1 - q if REV else q
        row = base + t * st
        here = gates + row[:, None] * (3 * M) + j[None, :]
        gr, gz, gn = gr1, gz1, gn1
        # Loads the next step's input before this one is computed; at the end, this step's again.
        more = tl.minimum(q + 1, steps - 1)
        then = gates + (base + (steps - 1 - more if REV else more) * st)[:, None] * (3 * M) + j[None, :]
        gr1 = tl.load(then, mask=mask, other=0.0)
        gz1 = tl.load(then + M, mask=mask, other=0.0)
        gn1 = tl.load(then + 2 * M, mask=mask, other=0.0)
        ar = tl.dot(h, ur, gr, input_precision=PREC)
        if GHOST:
            ar = tl.dot(s, vr, ar, input_precision=PREC)
        az = tl.dot(h, uz, gz, input_precision=PREC)
        if GHOST:
            az = tl.dot(s, vz, az, input_precision=PREC)
        an = tl.dot(h, un, input_precision=PREC) + cn[None, :]
        if GHOST:
            an = tl.dot(s, vn, an, input_precision=PREC)
        r = _sigmoid(ar)
        z = _sigmoid(az)
        n = _tanh(gn + r * an)
        h = n + z * (h - n)
        tl.store(here, r, mask=mask)  # the gates become r, z, n in place
        tl.store(here + M, z, mask=mask)
        tl.store(here + 2 * M, n, mask=mask)
        tl.store(an_p + row[:, None] * M + j[None, :], an, mask=mask)
        sp = state + row[:, None] * H + j[None, :]
        tl.store(sp, h, mask=mask)
        if GHOST:
            s = _tanh(tl.dot(h, gt, input_precision=PREC) + bg[None, :])
            tl.store(sp + M, s, mask=mask)


@triton.jit
def _backward(
    grad, rzn, an_p, state, u, g_p, dgx, dan_p, dg_p, rows, inner, so, si, st, steps,
    M: tl.constexpr, H: tl.constexpr, MP: tl.constexpr, R: tl.constexpr, GHOST: tl.constexpr, REV: tl.constexpr,
    PREC: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0) * R + tl.arange(0, R)
    live = i < rows
    base = (i // inner).to(tl.int64) * so + (i % inner).to(tl.int64) * si
    j = tl.arange(0, MP)
    k = tl.arange(0, MP)
    jm = j < M
    wm = jm[None, :] & (k < M)[:, None]
    at = k[:, None] * H + j[None, :]  # U as it is: [k (gate), j (state)]
    gat = k[:, None] * M + j[None, :]
    ur = tl.load(u + at, mask=wm, other=0.0)
    uz = tl.load(u + M * H + at, mask=wm, other=0.0)
    un = tl.load(u + 2 * M * H + at, mask=wm, other=0.0)
    if GHOST:
        vr = tl.load(u + M + at, mask=wm, other=0.0)
        vz = tl.load(u + M * H + M + at, mask=wm, other=0.0)
        vn = tl.load(u + 2 * M * H + M + at, mask=wm, other=0.0)
        gw = tl.load(g_p + gat, mask=wm, other=0.0)
    mask = live[:, None] & jm[None, :]
    dsh = tl.zeros((R, MP), tl.float32)
    dsg = tl.zeros((R, MP), tl.float32)
    carry = tl.zeros((R, MP), tl.float32)
    for q in range(steps):
        back = steps - 1 - q
        t = steps - 1 - back if REV else back
        row = base + t * st
        before = row + st if REV else row - st
        later = (i * 0 + back) > 0
        dp = grad + row[:, None] * H + j[None, :]
        dh = tl.load(dp, mask=mask, other=0.0) + dsh + carry
        if GHOST:
            s = tl.load(state + row[:, None] * H + M + j[None, :], mask=mask, other=0.0)
            dg = (tl.load(dp + M, mask=mask, other=0.0) + dsg) * (1.0 - s * s)
            tl.store(dg_p + row[:, None] * M + j[None, :], dg, mask=mask)
            dh = tl.dot(dg, gw, dh, input_precision=PREC)
        ap = rzn + row[:, None] * (3 * M) + j[None, :]
        r = tl.load(ap, mask=mask, other=0.0)
        z = tl.load(ap + M, mask=mask, other=0.0)
        n = tl.load(ap + 2 * M, mask=mask, other=0.0)
        an = tl.load(an_p + row[:, None] * M + j[None, :], mask=mask, other=0.0)
        hp = tl.load(state + before[:, None] * H + j[None, :], mask=mask & later[:, None], other=0.0)
        dn = dh * (1.0 - z) * (1.0 - n * n)
        dr = dn * an * r * (1.0 - r)
        dz = dh * (hp - n) * z * (1.0 - z)
        da = dn * r
        carry = dh * z
        op = dgx + row[:, None] * (3 * M) + j[None, :]
        tl.store(op, dr, mask=mask)
        tl.store(op + M, dz, mask=mask)
        tl.store(op + 2 * M, dn, mask=mask)
        tl.store(dan_p + row[:, None] * M + j[None, :], da, mask=mask)
        dsh = tl.dot(dr, ur, input_precision=PREC)
        dsh = tl.dot(dz, uz, dsh, input_precision=PREC)
        dsh = tl.dot(da, un, dsh, input_precision=PREC)
        if GHOST:
            dsg = tl.dot(dr, vr, input_precision=PREC)
            dsg = tl.dot(dz, vz, dsg, input_precision=PREC)
            dsg = tl.dot(da, vn, dsg, input_precision=PREC)


@triton.jit(do_not_specialize=["t"])
def _wide_gates(
    gates, an_p, state, u, cn_p, rows, inner, so, si, st, t,
    M: tl.constexpr, H: tl.constexpr, R: tl.constexpr, N: tl.constexpr, K: tl.constexpr, PREC: tl.constexpr,
):  # fmt: skip
    """Step t of N intrinsic units of R sequences."""
    i = tl.program_id(0) * R + tl.arange(0, R)
    live = i < rows
    row = (i // inner).to(tl.int64) * so + (i % inner).to(tl.int64) * si + t * st
    j = tl.program_id(1) * N + tl.arange(0, N)
    mask = live[:, None] & (j < M)[None, :]
    here = gates + row[:, None] * (3 * M) + j[None, :]
    ar = tl.load(here, mask=mask, other=0.0)
    az = tl.load(here + M, mask=mask, other=0.0)
    gn = tl.load(here + 2 * M, mask=mask, other=0.0)
    an = tl.zeros((R, N), tl.float32) + tl.load(cn_p + j, mask=j < M, other=0.0)[None, :]
    later = (i * 0 + t) > 0
    before = state + (row - st)[:, None] * H
    h = tl.load(before + j[None, :], mask=mask & later[:, None], other=0.0)
    for first in tl.static_range(0, H, K):
        k = first + tl.arange(0, K)
        s = tl.load(before + k[None, :], mask=(live & later)[:, None] & (k < H)[None, :], other=0.0)
        at = u + j[None, :] * H + k[:, None]
        inside = (k < H)[:, None] & (j < M)[None, :]
        ar = tl.dot(s, tl.load(at, mask=inside, other=0.0), ar, input_precision=PREC)
        az = tl.dot(s, tl.load(at + M * H, mask=inside, other=0.0), az, input_precision=PREC)
        an = tl.dot(s, tl.load(at + 2 * M * H, mask=inside, other=0.0), an, input_precision=PREC)
    r = _sigmoid(ar)
    z = _sigmoid(az)
    n = _tanh(gn + r * an)
    tl.store(here, r, mask=mask)
    tl.store(here + M, z, mask=mask)
    tl.store(here + 2 * M, n, mask=mask)
    tl.store(an_p + row[:, None] * M + j[None, :], an, mask=mask)
    tl.store(state + row[:, None] * H + j[None, :], n + z * (h - n), mask=mask)


@triton.jit(do_not_specialize=["t"])
def _wide_ghosts(
    state, g_p, bg_p, rows, inner, so, si, st, t,
    M: tl.constexpr, H: tl.constexpr, R: tl.constexpr, N: tl.constexpr, K: tl.constexpr, PREC: tl.constexpr,
):  # fmt: skip
    """N ghosts of step t."""
    i = tl.program_id(0) * R + tl.arange(0, R)
    live = i < rows
    row = (i // inner).to(tl.int64) * so + (i % inner).to(tl.int64) * si + t * st
    j = tl.program_id(1) * N + tl.arange(0, N)
    here = state + row[:, None] * H
    s = tl.zeros((R, N), tl.float32) + tl.load(bg_p + j, mask=j < M, other=0.0)[None, :]
    for first in tl.static_range(0, M, K):
        k = first + tl.arange(0, K)
        h = tl.load(here + k[None, :], mask=live[:, None] & (k < M)[None, :], other=0.0)
        g = tl.load(g_p + j[None, :] * M + k[:, None], mask=(k < M)[:, None] & (j < M)[None, :], other=0.0)
        s = tl.dot(h, g, s, input_precision=PREC)
    tl.store(here + M + j[None, :], _tanh(s), mask=live[:, None] & (j < M)[None, :])


@triton.jit(do_not_specialize=["t"])
def _wide_backward_gates(
    grad, rzn, an_p, state, g_p, ds, carry, dgx, dan_p, dg_p, rows, inner, so, si, st, t,
    M: tl.constexpr, H: tl.constexpr, R: tl.constexpr, N: tl.constexpr, K: tl.constexpr, GHOST: tl.constexpr, PREC: tl.constexpr,
):  # fmt: skip
    """From the gradient at the state of step t, `ds` and `carry` (rows of their own) of what came later included."""
    i = tl.program_id(0) * R + tl.arange(0, R)
    live = i < rows
    row = (i // inner).to(tl.int64) * so + (i % inner).to(tl.int64) * si + t * st
    j = tl.program_id(1) * N + tl.arange(0, N)
    mask = live[:, None] & (j < M)[None, :]
    dh = tl.load(grad + row[:, None] * H + j[None, :], mask=mask, other=0.0)
    dh += tl.load(ds + i[:, None] * H + j[None, :], mask=mask, other=0.0)
    own = carry + i[:, None] * M + j[None, :]
    dh += tl.load(own, mask=mask, other=0.0)
    if GHOST:
        for first in tl.static_range(0, M, K):
            k = first + tl.arange(0, K)
            inside = live[:, None] & (k < M)[None, :]
            s = tl.load(state + row[:, None] * H + M + k[None, :], mask=inside, other=0.0)
            dg = tl.load(grad + row[:, None] * H + M + k[None, :], mask=inside, other=0.0)
            dg += tl.load(ds + i[:, None] * H + M + k[None, :], mask=inside, other=0.0)
            dg *= 1.0 - s * s
            g = tl.load(g_p + k[:, None] * M + j[None, :], mask=(k < M)[:, None] & (j < M)[None, :], other=0.0)
            dh = tl.dot(dg, g, dh, input_precision=PREC)
            if tl.program_id(1) == 0:
                tl.store(dg_p + row[:, None] * M + k[None, :], dg, mask=inside)
    ap = rzn + row[:, None] * (3 * M) + j[None, :]
    r = tl.load(ap, mask=mask, other=0.0)
    z = tl.load(ap + M, mask=mask, other=0.0)
    n = tl.load(ap + 2 * M, mask=mask, other=0.0)
    an = tl.load(an_p + row[:, None] * M + j[None, :], mask=mask, other=0.0)
    later = (i * 0 + t) > 0
    h = tl.load(state + (row - st)[:, None] * H + j[None, :], mask=mask & later[:, None], other=0.0)
    dn = dh * (1.0 - z) * (1.0 - n * n)
    op = dgx + row[:, None] * (3 * M) + j[None, :]
    tl.store(op, dn * an * r * (1.0 - r), mask=mask)
    tl.store(op + M, dh * (h - n) * z * (1.0 - z), mask=mask)
    tl.store(op + 2 * M, dn, mask=mask)
    tl.store(dan_p + row[:, None] * M + j[None, :], dn * r, mask=mask)
    tl.store(own, dh * z, mask=mask)


@triton.jit(do_not_specialize=["t"])
def _wide_backward_state(
    dgx, dan_p, u, ds, rows, inner, so, si, st, t,
    M: tl.constexpr, H: tl.constexpr, R: tl.constexpr, N: tl.constexpr, K: tl.constexpr, PREC: tl.constexpr,
):  # fmt: skip
    """The gradient at N units of the state before step t, by way of the gates."""
    i = tl.program_id(0) * R + tl.arange(0, R)
    live = i < rows
    row = (i // inner).to(tl.int64) * so + (i % inner).to(tl.int64) * si + t * st
    j = tl.program_id(1) * N + tl.arange(0, N)
    total = tl.zeros((R, N), tl.float32)
    for first in tl.static_range(0, M, K):
        k = first + tl.arange(0, K)
        inside = live[:, None] & (k < M)[None, :]
        gate = dgx + row[:, None] * (3 * M) + k[None, :]
        at = u + k[:, None] * H + j[None, :]
        weight = (k < M)[:, None] & (j < H)[None, :]
        total = tl.dot(tl.load(gate, mask=inside, other=0.0), tl.load(at, mask=weight, other=0.0), total, input_precision=PREC)
        total = tl.dot(
            tl.load(gate + M, mask=inside, other=0.0), tl.load(at + M * H, mask=weight, other=0.0), total, input_precision=PREC
        )
        new = tl.load(dan_p + row[:, None] * M + k[None, :], mask=inside, other=0.0)
        total = tl.dot(new, tl.load(at + 2 * M * H, mask=weight, other=0.0), total, input_precision=PREC)
    tl.store(ds + i[:, None] * H + j[None, :], total, mask=live[:, None] & (j < H)[None, :])


def constants(m: int, hidden: int, reverse: bool) -> dict:
    """The compile-time parameters of the kernels for m intrinsic units."""
    if m > WIDE:
        assert not reverse, "a wide recurrence runs forward"
        return dict(M=m, H=hidden, R=ROWS, N=UNITS, K=DEPTH, PREC=Scan.PRECISION)
    width = max(16, triton.next_power_of_2(m))
    return dict(M=m, H=hidden, MP=width, R=ROWS, GHOST=hidden > m, REV=reverse, PREC=Scan.PRECISION)


class Scan(torch.autograd.Function):
    """Replaces `model._FusedScan`: x (B, T, F, C) -> (B, T, F, hidden), from a zero state."""

    PRECISION = "tf32"

    @staticmethod
    def forward(ctx, x, w, b, u, cn, g, bg, along, reverse):
        items, t, f, c = x.shape
        m, hidden = cn.shape[0], u.shape[1]
        assert hidden in (m, 2 * m), f"{hidden} units of {m}"
        rows = x.reshape(-1, c)
        gates = torch.addmm(b, rows, w.t())
        an, state = gates.new_empty(len(rows), m), gates.new_empty(len(rows), hidden)
        # sequences, inner, so, si, st, steps
        walk = (items * f, f, t * f, 1, f, t) if along == "time" else (items * t, 1, f, 0, 1, f)
        fixed = constants(m, hidden, reverse)
        u, g = u.contiguous(), g.contiguous()
        blocks, steps = triton.cdiv(walk[0], ROWS), walk[-1]
        if m > WIDE:
            grid = (blocks, triton.cdiv(m, UNITS))
            for step in range(steps):
                _wide_gates[grid](gates, an, state, u, cn, *walk[:-1], step, **fixed)
                if hidden > m:
                    _wide_ghosts[grid](state, g, bg, *walk[:-1], step, **fixed)
        else:
            _forward[(blocks,)](gates, an, state, u, cn, g, bg, *walk, **fixed, num_warps=4)
        ctx.save_for_backward(rows, w, u, g, state, gates, an)
        ctx.walk, ctx.fixed, ctx.shape, ctx.along = walk, fixed, x.shape, along
        return state.view(items, t, f, hidden)

    @staticmethod
    def backward(ctx, grad):
        x, w, u, g, state, rzn, an = ctx.saved_tensors
        items, t, f, _ = ctx.shape
        m, hidden = an.shape[1], state.shape[1]
        grad = grad.reshape(-1, hidden).contiguous()
        dgx, dan = torch.empty_like(rzn), torch.empty_like(an)
        dg = torch.empty_like(an) if hidden > m else an.new_empty(0, m)
        blocks, (rows, steps), where = triton.cdiv(ctx.walk[0], ROWS), (ctx.walk[0], ctx.walk[-1]), ctx.walk[:-1]
        if m > WIDE:
            ds, carry = grad.new_zeros(rows, hidden), grad.new_zeros(rows, m)
            units, all_units = (blocks, triton.cdiv(m, UNITS)), (blocks, triton.cdiv(hidden, UNITS))
            for step in range(steps - 1, -1, -1):
                _wide_backward_gates[units](
                    grad, rzn, an, state, g, ds, carry, dgx, dan, dg, *where, step, GHOST=hidden > m, **ctx.fixed
                )  # fmt: skip
                _wide_backward_state[all_units](dgx, dan, u, ds, *where, step, **ctx.fixed)
        else:
            _backward[(blocks,)](grad, rzn, an, state, u, g, dgx, dan, dg, *ctx.walk, **ctx.fixed, num_warps=4)
        # The state before each step is that of the previous step, zero before the first: no shifted copy is made.
        dim = 1 if ctx.along == "time" else 2
        states, gates, new = (v.view(items, t, f, -1) for v in (state, dgx, dan))
        n = states.shape[dim]
        early, late = (1, 0) if ctx.fixed.get("REV") else (0, 1)
        before = states.narrow(dim, early, n - 1).reshape(-1, hidden)

        def product(x):
            return x.narrow(dim, late, n - 1).reshape(-1, x.shape[-1]).t() @ before

        du = torch.cat([product(gates[..., : 2 * m]), product(new)])
        ghosts = (dg.t() @ state[:, :m], dg.sum(0)) if hidden > m else (torch.zeros_like(g), dg.new_empty(0))
        return (dgx @ w).view(ctx.shape), dgx.t() @ x, dgx.sum(0), du, dan.sum(0), *ghosts, None, None


def worst_error(inputs: int, hidden: int, ratio: int, shape: tuple, along: str, reverse: bool, device="cpu") -> float:
    """Largest relative error of the scan, its output and every gradient, against `GhostGru.reference` in float64."""
    from model import GhostGru

    gru = GhostGru(inputs, hidden, ratio).to(device).double()
    with torch.no_grad():
        gru.bg.normal_(), gru.cn.normal_()
    x = torch.randn(*shape, inputs, dtype=torch.float64, device=device, requires_grad=True)
    order, back = ((1, 0, 2, 3), (1, 0, 2, 3)) if along == "time" else ((2, 0, 1, 3), (1, 2, 0, 3))
    moved = x.permute(order)
    rows = moved.flatten(1, 2)
    y = gru.reference(rows.flip(0) if reverse else rows, x.new_zeros(rows.shape[1], hidden))
    y = (y.flip(0) if reverse else y).view(*moved.shape[:3], hidden).permute(back)
    weight = torch.randn_like(y)
    (y * weight).sum().backward()
    weights = [getattr(gru, name) for name in ("w", "b", "u", "cn", "g", "bg")]
    own = [p.detach().float().requires_grad_() for p in weights]
    x32 = x.detach().float().requires_grad_()
    got = Scan.apply(x32, *own, along, reverse)
    (got * weight.float()).sum().backward()
    pairs = [(got.detach(), y.detach()), (x32.grad, x.grad), *((p.grad, q.grad) for p, q in zip(own, weights) if q.numel())]
    return max(float((a.double() - b).norm() / b.norm()) for a, b in pairs)
