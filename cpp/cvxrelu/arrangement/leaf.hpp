// The last level of the search, where two null columns e1, e2 are left. For a last element i the ray is
// v = e1_i e2 - e2_i e1; with t = e1 / e1_i or e2 / e2_i the vector dual to row i,
//   lambda_l = T_l,i omega + e1_i alpha_l - e2_i beta_l,  omega = g(e1) h(e2) - h(e1) g(e2),
//   alpha_l = g(e2) h(T_l) - h(e2) g(T_l),  beta_l = g(e1) h(T_l) - h(e1) g(T_l),  lambda_i = -omega,
// for the two functionals g, h of the flag: a 3 x 3 determinant each.
#pragma once

#include <algorithm>
#include <array>
#include <type_traits>

#include "cvxrelu/arrangement/node.hpp"
#include "cvxrelu/arrangement/rows.hpp"

namespace cvxrelu {

/// How the sign of e1_i e2_j - e2_i e1_j is decided.
enum class Compare {
  kBounded,  // below a threshold: undecided
  kInteger,  // integers whose products are exact
  kWide,     // integers whose products need two doubles
};

/// What the signs at a leaf are certain beyond.
struct LeafBounds {
  double omega_error = 0;
  double lambda_scale = 0, lambda_shift = 0;  // lambda_l is good to scale ||T_l|| + shift
  // Threshold for the signs at element i, M = max(|e1_i|, |e2_i|): coarse (M + norm) + fine M, if M >= least.
  double coarse = 0, fine = 0, norm = 0, least = 0;

  /// From those of the node in rank r, where e1 and e2 have norms of at most `null_norm`.
  void set(const NodeBounds& bounds, double null_norm, int r, double row_bound) {
    const double u = kRoundoff, rounding = (16 + 4 * r) * u, x = null_norm, R = row_bound;
    // A functional that is a lane differs from that of the column, which differs from the exact one.
    const double null_error = bounds.null_threshold() + bounds.null_error;
    const double dual_error = bounds.dual_threshold() + bounds.dual_error;
    omega_error = 4 * x * null_error / R + 2 * rounding * x * x;
    lambda_scale = 6 * (2 * x * null_error + rounding * R * x * x);
    lambda_shift = 6 * x * x * dual_error;
    norm = R * x;
    coarse = bounds.reliable ? 2.7 * bounds.null_error * (1 + bounds.dual_norm_sum)
                             : std::numeric_limits<double>::infinity();
    fine = 8 * u * norm;
    // The duals of S + i must be good to 1/4 as well: (r + 1) (E_T + (1 + max ||T||) E / M) <= 1/4.
    least =
        (r + 1) * (1 + bounds.dual_norm_max) * bounds.null_error / std::max(0.25 - (r + 1) * bounds.dual_error, 1e-300);
  }

  /// Thresholds at elements with these two values.
  Vec<double> limits(Vec<double> x1, Vec<double> x2) const {
    const Vec<double> largest = maximum(absolute<double>(x1), absolute<double>(x2)), zero{};
    const Vec<double> limit = broadcast(coarse) * (largest + broadcast(norm)) + broadcast(fine) * largest;
    const auto sure = (largest >= broadcast(least)) & (largest > zero);
    return sure ? limit : broadcast(std::numeric_limits<double>::infinity());
  }
};

template <class L>
struct LeafView {
  const L* e1 = nullptr;
  const L* e2 = nullptr;
  std::array<const L*, ArrangementRows::kMaxRank> dual;  // as many as S has elements, as alpha, beta and lambda_error
  int size = 0;                                          // elements of S
  int level = 0;                                         // flag functionals that v is already orthogonal to
  double pivot = 1;
  double omega = 0;
  std::array<double, ArrangementRows::kMaxRank> alpha, beta, lambda_error;
  LeafBounds bounds;

  /// Of kLanes<double> elements from i on.
  void thresholds(int i, L* out) const {
    const Vec<double> limit = bounds.limits(load_double(e1 + i), load_double(e2 + i));
    for (int k = 0; k < kLanes<double>; ++k) out[k] = static_cast<L>(limit[k]);
  }
};

template <class L, Compare kCompare>
inline Vec<L> ray_values(Vec<L> a, Vec<L> b, Vec<L> x1, Vec<L> x2) {
  if constexpr (kCompare == Compare::kWide) {
    Vec<L> high, low, high2, low2;
    exact_product(a, x2, high, low);
    exact_product(b, x1, high2, low2);
    // Rounding is monotone, so the rounded products decide unless they are equal; then the remainders do.
    const Vec<L> difference = high - high2, rest = low - low2;
    return difference == 0 ? rest : difference;
  } else {
    return a * x2 - b * x1;
  }
}

/// Signs of the ray on all rows: bits where positive, and where the value is within the threshold of zero.
template <class L, Compare kCompare, bool kKeep>
inline void scan_rows(const LeafView<L>& view, L a, L b, L threshold, int size, Word* positive, Word* small,
                      L* values) {
  const Vec<L> A = broadcast(a), B = broadcast(b), limit = broadcast(threshold), zero{};
  for (int w = 0; 64 * w < size; ++w) {
    Word above = 0, near = 0;
    const int end = std::min(size, 64 * w + 64);
    for (int j = 64 * w; j < end; j += kLanes<L>) {
      const Vec<L> v = ray_values<L, kCompare>(A, B, load(view.e1 + j), load(view.e2 + j));
      above |= static_cast<Word>(less_bits(zero, v)) << (j % 64);
      near |= static_cast<Word>(~less_bits(limit, absolute<L>(v)) & kAllLanes<L>) << (j % 64);
      if constexpr (kKeep) store(values + j, v);
    }
    positive[w] = above;
    small[w] = near;
  }
}

/// For kLanes<double> elements from i on: bits where lambda_l is positive; returns where some lambda is undecided.
template <class L>
inline std::uint32_t lambda_signs(const LeafView<L>& view, int i,
                                  std::array<std::uint32_t, ArrangementRows::kMaxRank>& positive) {
  const Vec<double> x1 = load_double(view.e1 + i), x2 = load_double(view.e2 + i), zero{};
  std::uint32_t undecided = 0;
  for (int l = 0; l < view.size; ++l) {
    const auto at = static_cast<std::size_t>(l);
    const Vec<double> lambda = load_double(view.dual[at] + i) * broadcast(view.omega) +
                               (x1 * broadcast(view.alpha[at]) - x2 * broadcast(view.beta[at]));
    positive[at] = less_bits(zero, lambda);
    undecided |= ~less_bits(broadcast(view.lambda_error[at]), absolute<double>(lambda));
  }
  return undecided;
}

/// The farthest that one may go from `values` along `direction` before one of the chosen rows changes its sign.
template <class L>
inline L reach(const L* values, const L* direction, int size, const Word* chosen) {
  Vec<L> least = broadcast(std::numeric_limits<L>::max());
  const Vec<L> zero{};
  for (int j = 0; j < size; j += kLanes<L>) {
    const Vec<L> v = load(values + j), s = load(direction + j);
    const auto facing = less_bits(v * s, zero) & static_cast<std::uint32_t>(chosen[j / 64] >> (j % 64));
    least = minimum_ratio<L>(least, v, s, facing);
  }
  return smallest<L>(least);
}

/// The same along a combination of columns.
template <class L>
inline L reach(const L* values, const L* const* columns, const L* factors, int count, int size, const Word* chosen) {
  Vec<L> least = broadcast(std::numeric_limits<L>::max());
  const Vec<L> zero{};
  in_blocks<L>(0, size, [&](auto block, int j) {
    Vec<L> direction[block];
    combine<block>(columns, factors, count, j, direction);
    for (int b = 0; b < block; ++b, j += kLanes<L>) {
      const Vec<L> v = load(values + j);
      const auto facing = less_bits(v * direction[b], zero) & static_cast<std::uint32_t>(chosen[j / 64] >> (j % 64));
      least = minimum_ratio<L>(least, v, direction[b], facing);
    }
  });
  return smallest<L>(least);
}

}  // namespace cvxrelu
