// Duality gap of the group lasso as a sum of non-negative terms, so that it cannot come out too small by cancellation.
//
// Dual: max <Y, T> - 1/2 ||T||^2 subject to ||A_i' T|| <= beta omega_i and Z'T = 0. At residual R the dual point is
// T = s R with the best feasible s, and
//
//     gap = 1/2 ||R - T||^2 + sum_i ( beta omega_i ||W_i|| - <W_i, A_i' T> ).
//
// With a ridge term every T is feasible, s is the one with the largest dual objective, and the i-th term is
//     beta omega_i ||W_i|| + ridge/2 ||W_i||^2 - <W_i, A_i' T> + (||A_i' T|| - beta omega_i)_+^2 / (2 ridge).
#pragma once

#include <algorithm>
#include <limits>

#include "cvxrelu/gated/group_lasso.hpp"

namespace cvxrelu {

struct DualityGap {
  double primal = 0;
  double gap = 0;
  double scale = 1;  // s: the dual point is s R, or s T
};

/// Tells when passes lead nowhere, because rounding is all that is left, or takes too much of what they do: a gap need
/// not fall in every one of them, but then the objective does, by some of the gap.
class Idleness {
 public:
  explicit Idleness(double objective_at_zero) : rounding_(1e-14 * objective_at_zero) {}

  bool over(const DualityGap& at) {
    ++passes_;
    if (at.primal < primal_ - std::max(rounding_, kPart * std::min(gap_, at.gap)) || at.gap < 0.99 * gap_) {
      primal_ = std::min(primal_, at.primal);
      gap_ = std::min(gap_, at.gap);
      passes_ = 0;
    }
    return passes_ >= kMostPasses;
  }

 private:
  static constexpr int kMostPasses = 20;
  static constexpr double kPart = 1e-3;  // of the gap, in that many passes
  double rounding_;
  double primal_ = std::numeric_limits<double>::infinity(), gap_ = std::numeric_limits<double>::infinity();
  int passes_ = 0;
};

/// Tells when the steps inside passes are far more than any problem takes that gets anywhere: they are for one penalty.
inline bool exhausted(Index n_newton, Index n_cg) { return n_newton >= 100'000 || n_cg >= 10'000'000; }

/// `correlations.col(k)` is vec(A_i' R) for i = groups[k], or i = k when `groups` is null. A list of groups that is
/// not complete gives the gap of the program over that list.
DualityGap duality_gap(const GroupLassoProblem& problem, const Iterate& iterate, const MatrixView& correlations,
                       const std::vector<Index>* groups);

/// What a gap needs to know of rows that need not be in one place: sums over them.
struct GapSums {
  std::vector<Index> active;
  MatrixView blocks;        // column a is vec(W_i) for i = active[a]
  MatrixView correlations;  // vec(A_i' R) of every group
  double squared;           // ||R||^2
  double overlap;           // <Y, R>
};

/// The gap from sums over rows; `thresholds` are beta omega_i.
DualityGap duality_gap(const GapSums& sums, const VectorView& thresholds, double ridge);

/// The part of the gap that is the blocks', at the dual point scale T.
double blocks_gap(const GroupLassoProblem& problem, const Iterate& iterate, const MatrixView& correlations,
                  const std::vector<Index>* groups, double scale);

/// The gap of coefficients against any dual point T with Z'T = 0, shrunk to feasibility where it has to be.
DualityGap duality_gap(const GroupLassoProblem& problem, const Matrix& coef, const MatrixView& T);

}  // namespace cvxrelu
