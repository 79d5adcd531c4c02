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

#include <cmath>
#include <limits>
#include <vector>

#include "cvxrelu/cache_lines.hpp"
#include "cvxrelu/lanes.hpp"
#include "cvxrelu/types.hpp"

namespace cvxrelu {

constexpr double kRoundoff = 0x1p-53;

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
  LineVector<double> norms;  // of the columns' coordinates, or a little more; not kept in integer kinds

  S* column(int q) { return lanes.data() + static_cast<Index>(q) * lanes.rows(); }
  const S* column(int q) const { return lanes.data() + static_cast<Index>(q) * lanes.rows(); }
};

/// What one Gauss-Jordan step needs besides the lanes: the values that a new row has on all columns.
template <class S>
struct Step {
  int nulls = 0;      // null columns before the step
  int pivot = 0;      // the one that becomes dual
  LineVector<S> row;  // values of the new row on the columns; on the pivot column made positive in integer kinds

  int destination(int q) const { return q >= nulls ? q : q < pivot ? q : q - 1; }
  int dual() const { return nulls - 1; }
};

/// Norms and error bounds of a floating-point node after a step, when its coordinates are in place.
inline void update_bounds(const Step<double>& step, const NodeBounds& before, double row_bound,
                          const LineVector<double>& norms, NodeBounds& after) {
  const double u = kRoundoff, pivot = std::abs(step.row[static_cast<std::size_t>(step.pivot)]);
  const int r = static_cast<int>(norms.size());
  after.null_norm = 0;
  for (int q = 0; q < step.nulls - 1; ++q) {
    after.null_norm = std::max(after.null_norm, row_bound * norms[static_cast<std::size_t>(q)]);
  }
  const double largest = std::max(before.null_norm, after.null_norm);
  after.null_error = 2 * before.null_error + 20 * u * largest;
  double factor = 0;
  for (int q = step.nulls; q < r; ++q) factor = std::max(factor, std::abs(step.row[static_cast<std::size_t>(q)]));
  const double new_norm = row_bound * norms[static_cast<std::size_t>(step.dual())];
  const double new_error = (before.null_error + 8 * u * before.null_norm) / pivot + 4 * u * new_norm;
  after.dual_error = before.dual_error + factor * new_error + 10 * u * (before.dual_norm_max + factor * new_norm);
  after.dual_error = std::max(after.dual_error, new_error);
  after.dual_norm_sum = after.dual_norm_max = 0;
  for (int q = step.dual(); q < r; ++q) {
    const double norm = row_bound * norms[static_cast<std::size_t>(q)];
    after.dual_norm_sum += norm;
    after.dual_norm_max = std::max(after.dual_norm_max, norm);
  }
  // Written so that NaN and infinity are unreliable.
  after.reliable = before.reliable && (r - step.dual()) * after.dual_error <= 0.25 &&
                   after.dual_norm_sum < std::numeric_limits<double>::max();
}

}  // namespace cvxrelu
