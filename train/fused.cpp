// What PyTorch does slowly on a CPU, for float32: the loop of GhostGRU over time with all that is element by element in
// one pass per step, batch norm with PReLU in two passes, the filter's coefficients, the filter and the comparison of
// compressed spectra in one pass each. Same arithmetic as the Python in model.py, dsp.py and loss.py, which serves elsewhere.
#include <torch/extension.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

using torch::Tensor;

namespace {

// exp by range reduction and a degree-5 polynomial; relative error below 3e-7 for |x| <= 87. Written without branches
// so that the compiler vectorises the loops that call it.
inline float fast_exp(float x) {
  x = x > 87.f ? 87.f : (x < -87.f ? -87.f : x);
  const float k = std::nearbyintf(x * 1.44269504f);
  const float r = (x - k * 0.693359375f) + k * 2.12194440e-4f;
  float p = 1.9875691e-4f;
  p = p * r + 1.3981999e-3f;
  p = p * r + 8.3334519e-3f;
  p = p * r + 4.1665795e-2f;
  p = p * r + 1.6666665e-1f;
  p = p * r + 5.0000001e-1f;
  p = p * r * r + r + 1.f;
  const int32_t bits = (static_cast<int32_t>(k) + 127) << 23;
  float scale;
  std::memcpy(&scale, &bits, 4);
  return p * scale;
}
// ln by range reduction and the polynomial of Cephes' logf; relative error below 2e-7 for normal x > 0.
inline float fast_log(float x) {
  int32_t bits;
  std::memcpy(&bits, &x, 4);
  const int32_t k = (bits - 0x3f3504f3) >> 23;  // the mantissa between sqrt(1/2) and sqrt(2)
  bits -= k << 23;
  float m;
  std::memcpy(&m, &bits, 4);
  m -= 1.f;
  float p = 7.0376836292e-2f;
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  const float e = static_cast<float>(k);
  return (p * m - 0.5f) * m * m + m + e * -2.12194440e-4f + e * 0.693359375f;
}
inline float sigmoid(float x) { return 1.f / (1.f + fast_exp(-x)); }
inline float tanh_(float x) { return 1.f - 2.f / (1.f + fast_exp(2.f * x)); }

}  // namespace

// Sequences walked together, so that what a step touches stays in the cache for the next one.
constexpr int64_t kBlock = 128;

// Where the scan finds its rows: step t of sequence (o, i) is row o * so + i * si + t * st of every (M, ...) tensor, so
// that time and frequency are walked in place, without a permuted copy.
struct Walk {
  int64_t steps, outer, inner, so, si, st;
  bool reverse;
  int64_t sequences() const { return outer * inner; }
  int64_t row(int64_t sequence, int64_t k) const {
    return sequence / inner * so + sequence % inner * si + (reverse ? steps - 1 - k : k) * st;
  }
};

// The plain GRU of 16 units across frequency. Its products are too small for a call each: here a few sequences keep their
// accumulators in registers.
namespace small {

constexpr int64_t kUnits = 16;
#ifdef __AVX512F__
constexpr int64_t kRows = 4;
#else
constexpr int64_t kRows = 2;
#endif
typedef float Lanes __attribute__((vector_size(4 * kUnits)));

inline Lanes load(const float* p) {
  Lanes v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float* p, Lanes v) { std::memcpy(p, &v, sizeof v); }

// Sequences first .. first + R. ut is u transposed, (16, 48).
template <int64_t R>
void forward(const Walk& walk, int64_t first, const float* gates, const float* ut, const float* cn, float* all,
             float* state, float* before, float* rz, float* n, float* an) {
  alignas(64) float s[R][kUnits], a[R][3 * kUnits];
  std::memcpy(s, all + first * kUnits, sizeof s);
  for (int64_t k = 0; k < walk.steps; ++k) {
    Lanes sum[R][3] = {};
    for (int64_t j = 0; j < kUnits; ++j) {
      const float* row = ut + j * 3 * kUnits;
      const Lanes w0 = load(row), w1 = load(row + kUnits), w2 = load(row + 2 * kUnits);
#pragma GCC unroll 4
      for (int64_t i = 0; i < R; ++i) {
        sum[i][0] += s[i][j] * w0;
        sum[i][1] += s[i][j] * w1;
        sum[i][2] += s[i][j] * w2;
      }
    }
    for (int64_t i = 0; i < R; ++i) {
      for (int64_t part = 0; part < 3; ++part) store(a[i] + part * kUnits, sum[i][part]);
      const int64_t row = walk.row(first + i, k);
      const float* g = gates + row * 3 * kUnits;
      float *q = rz + row * 2 * kUnits, *no = n + row * kUnits, *ao = an + row * kUnits, *so = state + row * kUnits;
      std::memcpy(before + row * kUnits, s[i], sizeof s[i]);
#pragma GCC ivdep
      for (int64_t j = 0; j < 2 * kUnits; ++j) q[j] = sigmoid(a[i][j] + g[j]);
#pragma GCC ivdep
      for (int64_t j = 0; j < kUnits; ++j) {
        ao[j] = a[i][2 * kUnits + j] + cn[j];
        no[j] = tanh_(g[2 * kUnits + j] + q[j] * ao[j]);
        so[j] = s[i][j] = no[j] + q[kUnits + j] * (s[i][j] - no[j]);
      }
    }
  }
  std::memcpy(all + first * kUnits, s, sizeof s);
}

// u is (48, 16).
template <int64_t R>
void backward(const Walk& walk, int64_t first, const float* grad, const float* u, const float* before, const float* rz,
              const float* n, const float* an, float* all, float* dgx, float* da) {
  alignas(64) float ds[R][kUnits] = {}, carry[R][kUnits] = {};
  for (int64_t k = walk.steps - 1; k >= 0; --k) {
    Lanes sum[R][3] = {};
    const float* d[R];
    for (int64_t i = 0; i < R; ++i) {
      const int64_t row = walk.row(first + i, k);
      const float *q = rz + row * 2 * kUnits, *nr = n + row * kUnits, *ar = an + row * kUnits;
      const float *sr = before + row * kUnits, *gr = grad + row * kUnits;
      float *xr = dgx + row * 3 * kUnits, *aw = da + row * 3 * kUnits;
#pragma GCC ivdep
      for (int64_t j = 0; j < kUnits; ++j) {
        const float r = q[j], z = q[kUnits + j], dh = gr[j] + ds[i][j] + carry[i][j];
        const float dn = dh * (1.f - z) * (1.f - nr[j] * nr[j]);
        const float dr = dn * ar[j] * r * (1.f - r), dz = dh * (sr[j] - nr[j]) * z * (1.f - z);
        carry[i][j] = dh * z;
        xr[j] = aw[j] = dr;
        xr[kUnits + j] = aw[kUnits + j] = dz;
        xr[2 * kUnits + j] = dn;
        aw[2 * kUnits + j] = dn * r;
      }
      d[i] = aw;
    }
    for (int64_t j = 0; j < kUnits; ++j) {
      const Lanes w0 = load(u + j * kUnits), w1 = load(u + (kUnits + j) * kUnits), w2 = load(u + (2 * kUnits + j) * kUnits);
#pragma GCC unroll 4
      for (int64_t i = 0; i < R; ++i) {
        sum[i][0] += d[i][j] * w0;
        sum[i][1] += d[i][kUnits + j] * w1;
        sum[i][2] += d[i][2 * kUnits + j] * w2;
      }
    }
    for (int64_t i = 0; i < R; ++i) store(ds[i], sum[i][0] + sum[i][1] + sum[i][2]);
  }
  for (int64_t i = 0; i < R; ++i)
    for (int64_t j = 0; j < kUnits; ++j) all[(first + i) * kUnits + j] = ds[i][j] + carry[i][j];
}

}  // namespace small

// gates (M, 3m) holds the input side -> state (M, H), the state before (M, H), rz (M, 2m), n (M, m), an (M, m).
std::vector<Tensor> forward(Tensor gates, Tensor u, Tensor cn, Tensor g, Tensor bg, Tensor s0, int64_t steps,
                            int64_t outer, int64_t inner, int64_t so, int64_t si, int64_t st, bool reverse) {
  const Walk walk{steps, outer, inner, so, si, st, reverse};
  const int64_t total = gates.size(0), m = cn.size(0), hidden = u.size(1), gh = hidden - m;
  auto state = torch::empty({total, hidden}, gates.options()), before = torch::empty({total, hidden}, gates.options());
  auto rz = torch::empty({total, 2 * m}, gates.options());
  auto n = torch::empty({total, m}, gates.options()), an = torch::empty({total, m}, gates.options());
  auto ut = u.t().contiguous(), gt = g.t().contiguous(), all = s0.clone();
  const float *cnp = cn.data_ptr<float>(), *bgp = bg.data_ptr<float>(), *gates_p = gates.data_ptr<float>();
  float *state_p = state.data_ptr<float>(), *before_p = before.data_ptr<float>(), *rz_p = rz.data_ptr<float>();
  float *n_p = n.data_ptr<float>(), *an_p = an.data_ptr<float>();
  if (m == small::kUnits && gh == 0) {
    const float* up = ut.data_ptr<float>();
    float* ap = all.data_ptr<float>();
    int64_t i = 0;
    for (; i + small::kRows <= walk.sequences(); i += small::kRows)
      small::forward<small::kRows>(walk, i, gates_p, up, cnp, ap, state_p, before_p, rz_p, n_p, an_p);
    for (; i < walk.sequences(); ++i)
      small::forward<1>(walk, i, gates_p, up, cnp, ap, state_p, before_p, rz_p, n_p, an_p);
    return {state, before, rz, n, an};
  }
  for (int64_t i0 = 0; i0 < walk.sequences(); i0 += kBlock) {
    const int64_t rows = std::min(kBlock, walk.sequences() - i0);
    auto s = all.narrow(0, i0, rows), h = torch::empty({rows, m}, gates.options());
    auto a = torch::empty({rows, 3 * m}, gates.options()), gp = torch::empty({rows, gh}, gates.options());
    float *sp = s.data_ptr<float>(), *hp = h.data_ptr<float>(), *ap = a.data_ptr<float>(), *gpp = gp.data_ptr<float>();
    for (int64_t k = 0; k < steps; ++k) {
      at::mm_out(a, s, ut);
      for (int64_t i = 0; i < rows; ++i) {
        const int64_t row = walk.row(i0 + i, k);
        const float *ar = ap + i * 3 * m, *gr = gates_p + row * 3 * m;
        float *q = rz_p + row * 2 * m, *no = n_p + row * m, *ao = an_p + row * m, *ho = hp + i * m,
              *sr = sp + i * hidden;
        std::memcpy(before_p + row * hidden, sr, hidden * sizeof(float));
#pragma GCC ivdep
        for (int64_t j = 0; j < 2 * m; ++j) q[j] = sigmoid(ar[j] + gr[j]);
#pragma GCC ivdep
        for (int64_t j = 0; j < m; ++j) {
          ao[j] = ar[2 * m + j] + cnp[j];
          no[j] = tanh_(gr[2 * m + j] + q[j] * ao[j]);
          ho[j] = no[j] + q[m + j] * (sr[j] - no[j]);
          sr[j] = ho[j];
        }
        if (gh == 0) std::memcpy(state_p + row * hidden, sr, hidden * sizeof(float));
      }
      if (gh > 0) {
        at::mm_out(gp, h, gt);
        for (int64_t i = 0; i < rows; ++i) {
          float *sr = sp + i * hidden, *w = sr + m;
          const float* po = gpp + i * gh;
#pragma GCC ivdep
          for (int64_t j = 0; j < gh; ++j) w[j] = tanh_(po[j] + bgp[j]);
          std::memcpy(state_p + walk.row(i0 + i, k) * hidden, sr, hidden * sizeof(float));
        }
      }
    }
  }
  return {state, before, rz, n, an};
}

// Returns the gradients dgx (M, 3m) at the gates' input side, da (M, 3m) at the recurrent side, dg (M, H-m) and ds0;
// those of the weights are products that the caller takes over all steps at once.
std::vector<Tensor> backward(Tensor grad, Tensor u, Tensor g, Tensor state, Tensor before, Tensor rz, Tensor n,
                             Tensor an, int64_t steps, int64_t outer, int64_t inner, int64_t so, int64_t si, int64_t st,
                             bool reverse) {
  const Walk walk{steps, outer, inner, so, si, st, reverse};
  const int64_t total = n.size(0), m = n.size(1), hidden = u.size(1), gh = hidden - m;
  auto dgx = torch::empty({total, 3 * m}, n.options()), da = torch::empty({total, 3 * m}, n.options());
  auto dg = torch::empty({total, gh}, n.options()), all = torch::zeros({walk.sequences(), hidden}, n.options());
  const float *grad_p = grad.data_ptr<float>(), *state_p = state.data_ptr<float>(),
              *before_p = before.data_ptr<float>();
  const float *rz_p = rz.data_ptr<float>(), *n_p = n.data_ptr<float>(), *an_p = an.data_ptr<float>();
  float *dgx_p = dgx.data_ptr<float>(), *da_p = da.data_ptr<float>(), *dg_p = dg.data_ptr<float>();
  if (m == small::kUnits && gh == 0) {
    auto whole = u.contiguous();
    const float* up = whole.data_ptr<float>();
    float* ap = all.data_ptr<float>();
    int64_t i = 0;
    for (; i + small::kRows <= walk.sequences(); i += small::kRows)
      small::backward<small::kRows>(walk, i, grad_p, up, before_p, rz_p, n_p, an_p, ap, dgx_p, da_p);
    for (; i < walk.sequences(); ++i)
      small::backward<1>(walk, i, grad_p, up, before_p, rz_p, n_p, an_p, ap, dgx_p, da_p);
    return {dgx, da, dg, all};
  }
  for (int64_t i0 = 0; i0 < walk.sequences(); i0 += kBlock) {
    const int64_t rows = std::min(kBlock, walk.sequences() - i0);
    auto ds = all.narrow(0, i0, rows), carry = torch::zeros({rows, m}, n.options());
    auto dgr = torch::empty({rows, gh}, n.options()), dar = torch::empty({rows, 3 * m}, n.options());
    auto dhg = torch::zeros({rows, m}, n.options());
    float *dsp = ds.data_ptr<float>(), *cp = carry.data_ptr<float>(), *hgp = dhg.data_ptr<float>();
    float *dgrp = dgr.data_ptr<float>(), *darp = dar.data_ptr<float>();
    for (int64_t k = steps - 1; k >= 0; --k) {
      if (gh > 0) {
        for (int64_t i = 0; i < rows; ++i) {
          const int64_t row = walk.row(i0 + i, k);
          const float *gr = grad_p + row * hidden + m, *sr = state_p + row * hidden + m, *dr = dsp + i * hidden + m;
          float* o = dgrp + i * gh;
#pragma GCC ivdep
          for (int64_t j = 0; j < gh; ++j) o[j] = (gr[j] + dr[j]) * (1.f - sr[j] * sr[j]);
          std::memcpy(dg_p + row * gh, o, gh * sizeof(float));
        }
        at::mm_out(dhg, dgr, g);
      }
      for (int64_t i = 0; i < rows; ++i) {
        const int64_t row = walk.row(i0 + i, k);
        const float *q = rz_p + row * 2 * m, *nr = n_p + row * m, *ar = an_p + row * m, *sr = before_p + row * hidden;
        const float *gr = grad_p + row * hidden, *dr = dsp + i * hidden, *hr = hgp + i * m;
        float *cr = cp + i * m, *xr = dgx_p + row * 3 * m, *aw = darp + i * 3 * m;
#pragma GCC ivdep
        for (int64_t j = 0; j < m; ++j) {
          const float r = q[j], z = q[m + j], dh = gr[j] + dr[j] + cr[j] + hr[j];
          const float dn = dh * (1.f - z) * (1.f - nr[j] * nr[j]);
          const float drp = dn * ar[j] * r * (1.f - r), dz = dh * (sr[j] - nr[j]) * z * (1.f - z);
          cr[j] = dh * z;
          xr[j] = aw[j] = drp;
          xr[m + j] = aw[m + j] = dz;
          xr[2 * m + j] = dn;
          aw[2 * m + j] = dn * r;
        }
        std::memcpy(da_p + row * 3 * m, aw, 3 * m * sizeof(float));
      }
      at::mm_out(ds, dar, u);
    }
    ds.slice(1, 0, m).add_(carry);
  }
  return {dgx, da, dg, all};
}

// Batch norm over the rows of x (N, C), then PReLU, plus `add` (N, C or nothing); returns y, mean, 1/deviation.
std::vector<Tensor> norm_forward(Tensor x, Tensor gamma, Tensor beta, Tensor slope, Tensor add, double eps) {
  const int64_t n = x.size(0), c = x.size(1);
  auto y = torch::empty_like(x), mean = torch::empty({c}, x.options()), inv = torch::empty({c}, x.options());
  const float* xp = x.data_ptr<float>();
  std::vector<double> total(2 * c, 0.0);
  std::vector<float> part(2 * c);
  for (int64_t i0 = 0; i0 < n; i0 += 256) {  // float inside a short run, double over all
    std::fill(part.begin(), part.end(), 0.f);
    float *p = part.data(), *q = p + c;
    for (int64_t i = i0; i < std::min(n, i0 + 256); ++i) {
      const float* r = xp + i * c;
#pragma GCC ivdep
      for (int64_t j = 0; j < c; ++j) {
        p[j] += r[j];
        q[j] += r[j] * r[j];
      }
    }
    for (int64_t j = 0; j < 2 * c; ++j) total[j] += part[j];
  }
  std::vector<float> scale(c), shift(c);
  for (int64_t j = 0; j < c; ++j) {
    const double m = total[j] / n, v = std::max(total[c + j] / n - m * m, 0.0), s = 1.0 / std::sqrt(v + eps);
    mean.data_ptr<float>()[j] = m;
    inv.data_ptr<float>()[j] = s;
    scale[j] = gamma.data_ptr<float>()[j] * s;
    shift[j] = beta.data_ptr<float>()[j] - m * scale[j];
  }
  const float *a = scale.data(), *b = shift.data(), *sl = slope.data_ptr<float>();
  float* yp = y.data_ptr<float>();
  const bool plus = add.numel() > 0;
  const float* pp = plus ? add.data_ptr<float>() : xp;
  const float keep = plus ? 1.f : 0.f;
  for (int64_t i = 0; i < n; ++i) {
    const float *r = xp + i * c, *p = pp + i * c;
    float* o = yp + i * c;
#pragma GCC ivdep
    for (int64_t j = 0; j < c; ++j) {
      const float v = r[j] * a[j] + b[j];
      o[j] = (v > 0.f ? v : v * sl[j]) + keep * p[j];
    }
  }
  return {y, mean, inv};
}

// Returns dx, dgamma, dbeta, dslope.
std::vector<Tensor> norm_backward(Tensor dy, Tensor x, Tensor gamma, Tensor beta, Tensor slope, Tensor mean,
                                  Tensor inv) {
  const int64_t n = x.size(0), c = x.size(1);
  auto dx = torch::empty_like(x), dgamma = torch::empty({c}, x.options()), dbeta = torch::empty({c}, x.options());
  auto dslope = torch::empty({c}, x.options());
  const float *xp = x.data_ptr<float>(), *dp = dy.data_ptr<float>(), *mu = mean.data_ptr<float>();
  const float *is = inv.data_ptr<float>(), *ga = gamma.data_ptr<float>(), *be = beta.data_ptr<float>();
  const float* sl = slope.data_ptr<float>();
  std::vector<double> total(3 * c, 0.0);
  std::vector<float> part(3 * c);
  for (int64_t i0 = 0; i0 < n; i0 += 256) {
    std::fill(part.begin(), part.end(), 0.f);
    float *g = part.data(), *b = g + c, *s = b + c;
    for (int64_t i = i0; i < std::min(n, i0 + 256); ++i) {
      const float *r = xp + i * c, *d = dp + i * c;
#pragma GCC ivdep
      for (int64_t j = 0; j < c; ++j) {
        const float xh = (r[j] - mu[j]) * is[j], v = xh * ga[j] + be[j];
        const float dv = v > 0.f ? d[j] : d[j] * sl[j];
        g[j] += dv * xh;
        b[j] += dv;
        s[j] += v > 0.f ? 0.f : d[j] * v;
      }
    }
    for (int64_t j = 0; j < 3 * c; ++j) total[j] += part[j];
  }
  std::vector<float> k0(c), kb(c), kg(c);
  for (int64_t j = 0; j < c; ++j) {
    dgamma.data_ptr<float>()[j] = total[j];
    dbeta.data_ptr<float>()[j] = total[c + j];
    dslope.data_ptr<float>()[j] = total[2 * c + j];
    k0[j] = ga[j] * is[j];
    kb[j] = total[c + j] / n;
    kg[j] = total[j] / n;
  }
  const float *a = k0.data(), *b = kb.data(), *g = kg.data();
  float* o0 = dx.data_ptr<float>();
  for (int64_t i = 0; i < n; ++i) {
    const float *r = xp + i * c, *d = dp + i * c;
    float* o = o0 + i * c;
#pragma GCC ivdep
    for (int64_t j = 0; j < c; ++j) {
      const float xh = (r[j] - mu[j]) * is[j], v = xh * ga[j] + be[j];
      const float dv = v > 0.f ? d[j] : d[j] * sl[j];
      o[j] = a[j] * (dv - b[j] - xh * g[j]);
    }
  }
  return {dx, dgamma, dbeta, dslope};
}

// tanh(s) / s, and its derivative over s, from s^2. The series where the difference would cancel.
struct Bound {
  float value, slope;
};
inline Bound bound(float s2) {
  const float s = std::sqrt(s2), t = tanh_(s), over = 1.f / s2;
  const float value = t / s, slope = (1.f - t * t - value) * over;
  const float v = 1.f + s2 * (-1.f / 3 + s2 * (2.f / 15 - s2 * (17.f / 315)));
  const float d = -2.f / 3 + s2 * (8.f / 15 + s2 * (-34.f / 105 + s2 * (496.f / 2835)));
  return s2 < 0.04f ? Bound{v, d} : Bound{value, slope};
}

// One frame of x (F, 2C), plus low (L, 2C), as planes (2C, F).
inline void planes(const float* x, const float* low, int64_t bins, int64_t lowest, int64_t parts, float* out) {
  for (int64_t f = 0; f < bins; ++f)
    for (int64_t c = 0; c < parts; ++c)
      out[c * bins + f] = x[f * parts + c] + (f < lowest ? low[f * parts + c] : 0.f);
}

// x (B, T, F, 2C), real parts first, plus low (B, T, L, 2C) on the lowest bins, bounded by tanh, times gains (B, heads,
// T, F) -> (B, C, T, F, 2).
Tensor mask_forward(Tensor x, Tensor low, Tensor gains) {
  const int64_t b = x.size(0), t = x.size(1), f = x.size(2), c = x.size(3) / 2, heads = gains.size(1), l = low.size(2);
  auto out = torch::empty({b, c, t, f, 2}, x.options());
  std::vector<float> plane(2 * c * f);
  for (int64_t i = 0; i < b * t; ++i) {
    const int64_t item = i / t, frame = i % t;
    planes(x.data_ptr<float>() + i * f * 2 * c, low.data_ptr<float>() + i * l * 2 * c, f, l, 2 * c, plane.data());
    for (int64_t k = 0; k < c; ++k) {
      const float *re = plane.data() + k * f, *im = re + c * f;
      const float* g = gains.data_ptr<float>() + ((item * heads + k / (c / heads)) * t + frame) * f;
      float* o = out.data_ptr<float>() + ((item * c + k) * t + frame) * f * 2;
#pragma GCC ivdep
      for (int64_t j = 0; j < f; ++j) {
        const float scale = g[j] * bound(re[j] * re[j] + im[j] * im[j] + 1e-12f).value;
        o[2 * j] = re[j] * scale;
        o[2 * j + 1] = im[j] * scale;
      }
    }
  }
  return out;
}

// Returns the gradients at x and at the gains; that at low is the lowest bins' part of the first.
std::vector<Tensor> mask_backward(Tensor grad, Tensor x, Tensor low, Tensor gains) {
  const int64_t b = x.size(0), t = x.size(1), f = x.size(2), c = x.size(3) / 2, heads = gains.size(1), l = low.size(2);
  auto dx = torch::empty_like(x), dgains = torch::zeros_like(gains);
  std::vector<float> plane(2 * c * f), back(2 * c * f);
  for (int64_t i = 0; i < b * t; ++i) {
    const int64_t item = i / t, frame = i % t;
    planes(x.data_ptr<float>() + i * f * 2 * c, low.data_ptr<float>() + i * l * 2 * c, f, l, 2 * c, plane.data());
    for (int64_t k = 0; k < c; ++k) {
      const float *re = plane.data() + k * f, *im = re + c * f;
      const int64_t under = ((item * heads + k / (c / heads)) * t + frame) * f;
      const float* g = gains.data_ptr<float>() + under;
      const float* d = grad.data_ptr<float>() + ((item * c + k) * t + frame) * f * 2;
      float *dg = dgains.data_ptr<float>() + under, *dr = back.data() + k * f, *di = dr + c * f;
#pragma GCC ivdep
      for (int64_t j = 0; j < f; ++j) {
        const Bound y = bound(re[j] * re[j] + im[j] * im[j] + 1e-12f);
        const float along = re[j] * d[2 * j] + im[j] * d[2 * j + 1], turn = y.slope * along;
        dg[j] += y.value * along;
        dr[j] = g[j] * (y.value * d[2 * j] + turn * re[j]);
        di[j] = g[j] * (y.value * d[2 * j + 1] + turn * im[j]);
      }
    }
    float* o = dx.data_ptr<float>() + i * f * 2 * c;
    for (int64_t j = 0; j < f; ++j)
      for (int64_t k = 0; k < 2 * c; ++k) o[j * 2 * c + k] = back[k * f + j];
  }
  return {dx, dgains};
}

// mask (B, heads taps, T, F, 2) on a spectrum (B, T, F + 1, 2): every head's taps count back from the same frame, `ahead`
// after the current one -> (B, heads, T, F + 1, 2), real at 0 Hz. The coefficients are for bins 1 .. F; bin 0 uses that of bin 1, bin F that of
// bin F - 1.
Tensor filter_forward(Tensor mask, Tensor spectrum, int64_t heads, int64_t ahead) {
  const int64_t b = mask.size(0), c = mask.size(1), t = mask.size(2), f = mask.size(3), taps = c / heads, n = f + 1;
  auto out = torch::zeros({b, heads, t, n, 2}, mask.options());
  for (int64_t item = 0; item < b; ++item)
    for (int64_t k = 0; k < c; ++k)
      for (int64_t frame = std::max<int64_t>(k % taps - ahead, 0); frame < std::min(t, t + k % taps - ahead); ++frame) {
        const float* m = mask.data_ptr<float>() + ((item * c + k) * t + frame) * f * 2;
        const float* x = spectrum.data_ptr<float>() + (item * t + frame - k % taps + ahead) * n * 2;
        float* y = out.data_ptr<float>() + ((item * heads + k / taps) * t + frame) * n * 2;
        y[0] += m[0] * x[0] - m[1] * x[1];
#pragma GCC ivdep
        for (int64_t j = 1; j < f; ++j) {
          const float mr = m[2 * j - 2], mi = m[2 * j - 1], xr = x[2 * j], xi = x[2 * j + 1];
          y[2 * j] += mr * xr - mi * xi;
          y[2 * j + 1] += mr * xi + mi * xr;
        }
        const float *last = m + 2 * (f - 2), *edge = x + 2 * f;
        y[2 * f] += last[0] * edge[0] - last[1] * edge[1];
        y[2 * f + 1] += last[0] * edge[1] + last[1] * edge[0];
      }
  return out;
}

// Returns the gradient at the mask.
Tensor filter_backward(Tensor grad, Tensor spectrum, int64_t taps, int64_t ahead) {
  const int64_t b = grad.size(0), heads = grad.size(1), t = grad.size(2), n = grad.size(3), f = n - 1, c = heads * taps;
  auto dmask = torch::empty({b, c, t, f, 2}, grad.options());
  for (int64_t item = 0; item < b; ++item)
    for (int64_t k = 0; k < c; ++k)
      for (int64_t frame = 0; frame < t; ++frame) {
        float* dm = dmask.data_ptr<float>() + ((item * c + k) * t + frame) * f * 2;
        const int64_t source = frame - k % taps + ahead;
        if (source < 0 || source >= t) {
          std::fill(dm, dm + 2 * f, 0.f);
          continue;
        }
        const float* x = spectrum.data_ptr<float>() + (item * t + source) * n * 2;
        const float* d = grad.data_ptr<float>() + ((item * heads + k / taps) * t + frame) * n * 2;
#pragma GCC ivdep
        for (int64_t j = 1; j < f; ++j) {
          const float xr = x[2 * j], xi = x[2 * j + 1], dr = d[2 * j], di = d[2 * j + 1];
          dm[2 * j - 2] = xr * dr + xi * di;
          dm[2 * j - 1] = xr * di - xi * dr;
        }
        dm[2 * f - 2] = dm[2 * f - 1] = 0.f;
        dm[0] += x[0] * d[0];
        dm[1] -= x[1] * d[0];
        float* last = dm + 2 * (f - 2);
        last[0] += x[2 * f] * d[2 * f] + x[2 * f + 1] * d[2 * f + 1];
        last[1] += x[2 * f] * d[2 * f + 1] - x[2 * f + 1] * d[2 * f];
      }
  return dmask;
}

// How two spectra (B, T, F, 2) differ once their magnitudes are raised to the power c: over bins where `known` (B, F) is 1,
// the sums of the squared differences of magnitudes, of spectra, and of magnitudes where y's is the smaller.
namespace compressed {

constexpr float kFloor = 1e-9f;

struct Difference {
  float power, magnitude, gain;  // of y; its compressed magnitude, and what it is multiplied by
  float more, real, imaginary;   // the differences of compressed magnitudes and spectra
  float less() const { return more < 0.f ? more : 0.f; }
};

inline Difference differ(const float* y, const float* s, float half) {
  const float p = y[0] * y[0] + y[1] * y[1] + kFloor, q = s[0] * s[0] + s[1] * s[1] + kFloor;
  const float ym = fast_exp(half * fast_log(p)), sm = fast_exp(half * fast_log(q));
  const float yg = ym / std::sqrt(p), sg = sm / std::sqrt(q);
  return {p, ym, yg, ym - sm, y[0] * yg - s[0] * sg, y[1] * yg - s[1] * sg};
}

Tensor forward(Tensor y, Tensor s, Tensor known, double exponent) {
  const int64_t b = y.size(0), t = y.size(1), f = y.size(2);
  const float half = static_cast<float>(exponent / 2);
  double all[3] = {};
  for (int64_t row = 0; row < b * t; ++row) {
    const float *yr = y.data_ptr<float>() + row * f * 2, *sr = s.data_ptr<float>() + row * f * 2;
    const float* k = known.data_ptr<float>() + row / t * f;
    float magnitude = 0.f, spectrum = 0.f, cut = 0.f;
    for (int64_t j = 0; j < f; ++j) {
      const Difference d = differ(yr + 2 * j, sr + 2 * j, half);
      magnitude += k[j] * d.more * d.more;
      spectrum += k[j] * (d.real * d.real + d.imaginary * d.imaginary);
      cut += k[j] * d.less() * d.less();
    }
    all[0] += magnitude;
    all[1] += spectrum;
    all[2] += cut;
  }
  return torch::tensor({all[0], all[1], all[2]}, torch::kFloat64).to(torch::kFloat32);
}

// Returns the gradient at y.
Tensor backward(Tensor grad, Tensor y, Tensor s, Tensor known, double exponent) {
  const int64_t b = y.size(0), t = y.size(1), f = y.size(2);
  const float power = static_cast<float>(exponent), half = power / 2.f;
  const float *g = grad.data_ptr<float>(), g0 = 2.f * g[0], g1 = 2.f * g[1], g2 = 2.f * g[2];
  auto out = torch::empty_like(y);
  for (int64_t row = 0; row < b * t; ++row) {
    const float *yr = y.data_ptr<float>() + row * f * 2, *sr = s.data_ptr<float>() + row * f * 2;
    const float* k = known.data_ptr<float>() + row / t * f;
    float* o = out.data_ptr<float>() + row * f * 2;
#pragma GCC ivdep
    for (int64_t j = 0; j < f; ++j) {
      const Difference d = differ(yr + 2 * j, sr + 2 * j, half);
      // d|Y|^c = c |Y|^(c-2) Y dY; d(Y |Y|^(c-1)) has a part along Y and one along dY.
      const float re = yr[2 * j], im = yr[2 * j + 1], parallel = (d.real * re + d.imaginary * im) * (power - 1.f);
      const float along = (power * d.magnitude * (g0 * d.more + g2 * d.less()) + g1 * parallel * d.gain) / d.power;
      o[2 * j] = k[j] * (along * re + g1 * d.gain * d.real);
      o[2 * j + 1] = k[j] * (along * im + g1 * d.gain * d.imaginary);
    }
  }
  return out;
}

}  // namespace compressed

PYBIND11_MODULE(TORCH_EXTENSION_NAME, mod) {
  mod.def("forward", &forward);
  mod.def("backward", &backward);
  mod.def("mask_forward", &mask_forward);
  mod.def("mask_backward", &mask_backward);
  mod.def("filter_forward", &filter_forward);
  mod.def("filter_backward", &filter_backward);
  mod.def("compressed_forward", &compressed::forward);
  mod.def("compressed_backward", &compressed::backward);
  mod.def("norm_forward", &norm_forward);
  mod.def("norm_backward", &norm_backward);
}
