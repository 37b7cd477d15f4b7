"""The GhostGRU's recurrence on GPUs: forward and backward as one Triton kernel each, the whole loop over steps inside.

A program runs ROWS sequences. Step t of sequence i is row (i // inner) * so + (i % inner) * si + t * st of (N, C) tensors, so
that (B, T, F, C) is walked in place along time or frequency, as `fused.cpp` does. The state before the first step is zero;
hidden is 2 m (ghosts) or m. Up to WIDE units the weights stay in registers, beyond they are read anew at each step, from the
second-level cache.

`TRITON_INTERPRET=1` runs the kernels on a CPU: `tests/test_scan.py` compares them with `GhostGru.reference` so.
"""

import torch
import triton
import triton.language as tl

ROWS = 16  # sequences of a program: as many as the matrix units take
WIDE = 64  # intrinsic units beyond which the weights are read at each step


@triton.jit
def _sigmoid(x):
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def _tanh(x):
    return 2.0 / (1.0 + tl.exp(-2.0 * x)) - 1.0


@triton.jit
def _tile(p, at, mask, WHOLE: tl.constexpr):
    if WHOLE:
        return tl.load(p + at)
    else:
        return tl.load(p + at, mask=mask, other=0.0)


@triton.jit
def _forward(
    gates, an_p, state, u, cn_p, g_p, bg_p, rows, inner, so, si, st, steps, zero,
    M: tl.constexpr, H: tl.constexpr, MP: tl.constexpr, R: tl.constexpr, GHOST: tl.constexpr, REV: tl.constexpr,
    RESIDENT: tl.constexpr, PREC: tl.constexpr,
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
    if RESIDENT:
        ur = _tile(u, at, wm, M == MP)
        uz = _tile(u + M * H, at, wm, M == MP)
        un = _tile(u + 2 * M * H, at, wm, M == MP)
        if GHOST:
            vr = _tile(u + M, at, wm, M == MP)
            vz = _tile(u + M * H + M, at, wm, M == MP)
            vn = _tile(u + 2 * M * H + M, at, wm, M == MP)
            gt = _tile(g_p, gat, wm, M == MP)
    mask = live[:, None] & jm[None, :]
    h = tl.zeros((R, MP), tl.float32)
    s = tl.zeros((R, MP), tl.float32)
    first = gates + (base + (steps - 1 if REV else 0) * st)[:, None] * (3 * M) + j[None, :]
    gr1 = tl.load(first, mask=mask, other=0.0)
    gz1 = tl.load(first + M, mask=mask, other=0.0)
    gn1 = tl.load(first + 2 * M, mask=mask, other=0.0)
    for q in range(steps):
        # Nothing, but the compiler cannot know: it would keep the address of each weight in registers, and spill them.
        uq = u + (q & zero)
        gq = g_p + (q & zero)
        t = steps - 1 - q if REV else q
        row = base + t * st
        here = gates + row[:, None] * (3 * M) + j[None, :]
        gr, gz, gn = gr1, gz1, gn1
        # What the next step needs is asked for before this one is computed; past the end, this step's again.
        more = tl.minimum(q + 1, steps - 1)
        then = gates + (base + (steps - 1 - more if REV else more) * st)[:, None] * (3 * M) + j[None, :]
        gr1 = tl.load(then, mask=mask, other=0.0)
        gz1 = tl.load(then + M, mask=mask, other=0.0)
        gn1 = tl.load(then + 2 * M, mask=mask, other=0.0)
        if not RESIDENT:
            ur = _tile(uq, at, wm, M == MP)
        ar = tl.dot(h, ur, gr, input_precision=PREC)
        if GHOST:
            if not RESIDENT:
                vr = _tile(uq + M, at, wm, M == MP)
            ar = tl.dot(s, vr, ar, input_precision=PREC)
        if not RESIDENT:
            uz = _tile(uq + M * H, at, wm, M == MP)
        az = tl.dot(h, uz, gz, input_precision=PREC)
        if GHOST:
            if not RESIDENT:
                vz = _tile(uq + M * H + M, at, wm, M == MP)
            az = tl.dot(s, vz, az, input_precision=PREC)
        if not RESIDENT:
            un = _tile(uq + 2 * M * H, at, wm, M == MP)
        an = tl.dot(h, un, input_precision=PREC) + cn[None, :]
        if GHOST:
            if not RESIDENT:
                vn = _tile(uq + 2 * M * H + M, at, wm, M == MP)
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
            if not RESIDENT:
                gt = _tile(gq, gat, wm, M == MP)
            s = _tanh(tl.dot(h, gt, input_precision=PREC) + bg[None, :])
            tl.store(sp + M, s, mask=mask)


@triton.jit
def _backward(
    grad, rzn, an_p, state, u, g_p, dgx, dan_p, dg_p, rows, inner, so, si, st, steps, zero,
    M: tl.constexpr, H: tl.constexpr, MP: tl.constexpr, R: tl.constexpr, GHOST: tl.constexpr, REV: tl.constexpr,
    RESIDENT: tl.constexpr, PREC: tl.constexpr,
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
    if RESIDENT:
        ur = _tile(u, at, wm, M == MP)
        uz = _tile(u + M * H, at, wm, M == MP)
        un = _tile(u + 2 * M * H, at, wm, M == MP)
        if GHOST:
            vr = _tile(u + M, at, wm, M == MP)
            vz = _tile(u + M * H + M, at, wm, M == MP)
            vn = _tile(u + 2 * M * H + M, at, wm, M == MP)
            gw = _tile(g_p, gat, wm, M == MP)
    mask = live[:, None] & jm[None, :]
    dsh = tl.zeros((R, MP), tl.float32)
    dsg = tl.zeros((R, MP), tl.float32)
    carry = tl.zeros((R, MP), tl.float32)
    for q in range(steps):
        # Nothing, but the compiler cannot know: it would keep the address of each weight in registers, and spill them.
        uq = u + (q & zero)
        gq = g_p + (q & zero)
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
            if not RESIDENT:
                gw = _tile(gq, gat, wm, M == MP)
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
        if not RESIDENT:
            ur = _tile(uq, at, wm, M == MP)
        dsh = tl.dot(dr, ur, input_precision=PREC)
        if not RESIDENT:
            uz = _tile(uq + M * H, at, wm, M == MP)
        dsh = tl.dot(dz, uz, dsh, input_precision=PREC)
        if not RESIDENT:
            un = _tile(uq + 2 * M * H, at, wm, M == MP)
        dsh = tl.dot(da, un, dsh, input_precision=PREC)
        if GHOST:
            if not RESIDENT:
                vr = _tile(uq + M, at, wm, M == MP)
            dsg = tl.dot(dr, vr, input_precision=PREC)
            if not RESIDENT:
                vz = _tile(uq + M * H + M, at, wm, M == MP)
            dsg = tl.dot(dz, vz, dsg, input_precision=PREC)
            if not RESIDENT:
                vn = _tile(uq + 2 * M * H + M, at, wm, M == MP)
            dsg = tl.dot(da, vn, dsg, input_precision=PREC)


def constants(m: int, hidden: int, reverse: bool) -> dict:
    """The kernels' compile-time parameters for a recurrence of m intrinsic units."""
    width = max(16, triton.next_power_of_2(m))
    resident = m <= WIDE
    return dict(M=m, H=hidden, MP=width, R=ROWS, GHOST=hidden > m, REV=reverse, RESIDENT=resident, PREC=Scan.PRECISION)


def warps(m: int) -> int:
    return 4 if m <= WIDE else 8


class Scan(torch.autograd.Function):
    """Stands where `model._FusedScan` stands: x (B, T, F, C) -> (B, T, F, hidden), from a zero state."""

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
        grid = (triton.cdiv(walk[0], ROWS),)
        _forward[grid](gates, an, state, u, cn, g, bg, *walk, 0, **fixed, num_warps=warps(m), num_stages=1)
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
        grid = (triton.cdiv(ctx.walk[0], ROWS),)
        _backward[grid](
            grad, rzn, an, state, u, g, dgx, dan, dg, *ctx.walk, 0, **ctx.fixed, num_warps=warps(m), num_stages=1
        )  # fmt: skip
        # What stood before each step is the state of the step before, none before the first: no shifted copy is made.
        dim = 1 if ctx.along == "time" else 2
        states, gates, new = (v.view(items, t, f, -1) for v in (state, dgx, dan))
        n = states.shape[dim]
        early, late = ((1, 0) if ctx.fixed["REV"] else (0, 1))
        before = states.narrow(dim, early, n - 1).reshape(-1, hidden)

        def product(x):
            return x.narrow(dim, late, n - 1).reshape(-1, x.shape[-1]).t() @ before

        du = torch.cat([product(gates[..., : 2 * m]), product(new)])
        ghosts = (dg.t() @ state[:, :m], dg.sum(0)) if hidden > m else (torch.zeros_like(g), dg.new_empty(0))
        return (dgx @ w).view(ctx.shape), dgx.t() @ x, dgx.sum(0), du, dan.sum(0), *ghosts, None, None
