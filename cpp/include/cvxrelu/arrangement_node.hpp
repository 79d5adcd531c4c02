// One node of the search through no-broken-circuit sets S = {s_1, ..., s_k}: a Gauss-Jordan state on the rows.
//
// Its columns are vectors x of R^r, kept as the products a_j.x with all rows ("lanes") and as coordinates. The first
// r - k columns are a basis of the null space of S; column r - 1 - l is dual to the l-th element: a_{s_m}.x_l =
// delta_lm (times a positive common factor, the pivot, in integer arithmetic).
//
// Floating-point nodes carry bounds that make every decision certain. With E bounding |lane - a_j.x| and |a_s.x| for s
// in S over the null columns, the exact null vector x - sum_l (a_{s_l}.x) T_l differs from the lane by at most
// E (1 + 4/3 sum ||T_l||), provided the duals are good to 1/4. One elimination step with the largest pivot at most
// doubles E and adds 20 u N, where N is the largest norm (a row has norm at most `row_bound`, which N includes).
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "cvxrelu/cache_lines.hpp"
#include "cvxrelu/lanes.hpp"
#include "cvxrelu/types.hpp"

namespace cvxrelu {

constexpr double kRoundoff = 0x1p-53;
constexpr double kSharp = 0x1p-32;  // relative bounds that leave one decision in millions open, or fewer

inline int padded(int size, int lanes) { return (size + lanes - 1) / lanes * lanes; }

using Words = LineVector<Word>;

struct NodeBounds {
  double null_error = 0;     // E
  double null_norm = 0;      // N
  double dual_error = 0;     // as E, for the dual columns
  double dual_norm_sum = 0;  // sum of ||T_l||
  double dual_norm_max = 0;
  bool reliable = true;  // the duals are good to 1/4

  /// Largest |lane - exact| in a null column, and in a dual column.
  double null_threshold() const { return slack(null_error); }
  double dual_threshold() const { return slack(dual_error); }

 private:
  double slack(double error) const {
    return reliable ? error * (1 + 1.34 * dual_norm_sum) : std::numeric_limits<double>::infinity();
  }
};

template <class S>
struct alignas(kLineBytes) Node {
  Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic> lanes;  // rows, padding, coordinates, padding; r columns
  Words closure;                                           // rows in the span of S
  Words positive, negative;  // rows that came in with the last element, by the sign of their coefficient
  double pivot = 1;
  NodeBounds bounds;
  LineVector<double> norms;  // of the columns' coordinates, or more, in whole vectors; not kept in integer kinds

  S* column(int q) { return lanes.data() + static_cast<Index>(q) * lanes.rows(); }
  const S* column(int q) const { return lanes.data() + static_cast<Index>(q) * lanes.rows(); }
};

/// What one Gauss-Jordan step needs besides the lanes: the values that a new row has on all columns.
template <class S>
struct Step {
  int rank = 0;
  int nulls = 0;      // null columns before the step
  int pivot = 0;      // the one that becomes dual
  LineVector<S> row;  // values of the new row on the columns, and zeros up to whole vectors
  double factor = 0;  // in floating point, the largest |row| on the dual columns

  int destination(int q) const { return q >= nulls ? q : q < pivot ? q : q - 1; }
  int dual() const { return nulls - 1; }
};

/// Sets a node's norms from those of its r columns, of which the first `nulls` are null vectors.
inline void take_norms(const LineVector<double>& norms, int nulls, int r, double row_bound, NodeBounds& bounds) {
  double null_norm = 0, sum = 0, largest = 0;
  for (int q = 0; q < r; ++q) {
    const double norm = norms[static_cast<std::size_t>(q)];
    if (q < nulls) {
      null_norm = std::max(null_norm, norm);
    } else {
      sum += norm;
      largest = std::max(largest, norm);
    }
  }
  bounds.null_norm = row_bound * null_norm;
  bounds.dual_norm_sum = row_bound * sum;
  bounds.dual_norm_max = row_bound * largest;
}

/// Error bounds of a floating-point node after a step, when its norms are there, and `new_norm` of the new dual vector.
inline void update_errors(const Step<double>& step, const NodeBounds& before, double new_norm, NodeBounds& after) {
  const double u = kRoundoff, pivot = std::abs(step.row[static_cast<std::size_t>(step.pivot)]), factor = step.factor;
  after.null_error = 2 * before.null_error + 20 * u * std::max(before.null_norm, after.null_norm);
  const double new_error = (before.null_error + 8 * u * before.null_norm) / pivot + 4 * u * new_norm;
  after.dual_error = before.dual_error + factor * new_error + 10 * u * (before.dual_norm_max + factor * new_norm);
  after.dual_error = std::max(after.dual_error, new_error);
  // Written so that NaN and infinity are unreliable.
  after.reliable = before.reliable && (step.rank - step.dual()) * after.dual_error <= 0.25 &&
                   after.dual_norm_sum < std::numeric_limits<double>::max();
}

/// Bounds from the norms of the columns, which are in place.
inline void bound_closely(Step<double>& step, const NodeBounds& before, double row_bound, Node<double>& after) {
  step.factor = 0;
  for (int q = step.nulls; q < step.rank; ++q) {
    step.factor = std::max(step.factor, std::abs(step.row[static_cast<std::size_t>(q)]));
  }
  take_norms(after.norms, step.dual(), step.rank, row_bound, after.bounds);
  update_errors(step, before, row_bound * after.norms[static_cast<std::size_t>(step.dual())], after.bounds);
}

/// Norms and bounds from those before the step alone, by the triangle inequality; returns whether no decision is likely
/// to need better ones.
inline bool bound_loosely(Step<double>& step, const Node<double>& before, double row_bound, Node<double>& after) {
  const double* row = step.row.data();
  const double dual = before.norms[static_cast<std::size_t>(step.pivot)] / std::abs(row[step.pivot]);
  Vec<double> index, sum{}, largest{}, factor{};
  for (int k = 0; k < kLanes<double>; ++k) index[k] = k;
  const Vec<double> nulls = broadcast(static_cast<double>(step.nulls)), zero{};
  for (int q = 0; q < step.rank; q += kLanes<double>) {
    const Vec<double> size = absolute<double>(load(row + q));
    const Vec<double> norm = load(before.norms.data() + q) + size * broadcast(dual);
    store(after.norms.data() + q, norm);
    const auto is_dual = index + broadcast(static_cast<double>(q)) >= nulls;
    const Vec<double> dual_norm = is_dual ? norm : zero, dual_size = is_dual ? size : zero;
    sum += dual_norm;
    largest = maximum(largest, dual_norm);
    factor = maximum(factor, dual_size);
  }
  double null_norm = 0;
  for (int q = 0; q < step.nulls; ++q) {
    if (q == step.pivot) continue;
    const double norm = after.norms[static_cast<std::size_t>(q)];
    after.norms[static_cast<std::size_t>(step.destination(q))] = norm;
    null_norm = std::max(null_norm, norm);
  }
  after.norms[static_cast<std::size_t>(step.dual())] = dual;
  NodeBounds& bounds = after.bounds;
  bounds.null_norm = row_bound * null_norm;
  bounds.dual_norm_sum = row_bound * (total<double>(sum) + dual);
  bounds.dual_norm_max = row_bound * std::max(greatest<double>(largest), dual);
  step.factor = greatest<double>(factor);
  update_errors(step, before.bounds, row_bound * dual, bounds);
  return bounds.null_threshold() <= kSharp * bounds.null_norm &&
         bounds.dual_threshold() <= kSharp * bounds.dual_norm_max;
}

}  // namespace cvxrelu
