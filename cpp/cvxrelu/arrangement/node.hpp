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

#include "cvxrelu/algebra/lanes.hpp"
#include "cvxrelu/base/cache_lines.hpp"
#include "cvxrelu/base/types.hpp"

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

  /// The new dual column, and where the other new columns come from.
  int dual() const { return nulls - 1; }
  int source(int column) const { return column + (pivot <= column && column < dual()); }
};

/// kBlock vectors of the new columns [first, last) of one step. All in arguments, so that it stays in registers: what
/// is in memory the stores might change, for all that the compiler knows.
template <int kBlock, class S, class Update>
inline void eliminate_block(const S* in, Index in_height, const S* row, int pivot, int nulls, S scale,
                            const Update update, int first, int last, S* out, Index out_height) {
  Vec<S> t[kBlock];
  const S* source = in + pivot * in_height;
  for (int b = 0; b < kBlock; ++b) t[b] = load(source + b * kLanes<S>) * broadcast(scale);
  for (int p = first; p < last; ++p) {
    const int q = p + (pivot <= p && p < nulls - 1);
    const Vec<S> factor = broadcast(row[q]);
    const S* from = in + q * in_height;
    S* to = out + p * out_height;
    for (int b = 0; b < kBlock; ++b) store(to + b * kLanes<S>, update(load(from + b * kLanes<S>), factor, t[b]));
  }
  S* dual = out + (nulls - 1) * out_height;
  for (int b = 0; b < kBlock; ++b) store(dual + b * kLanes<S>, t[b]);
}

/// New columns [first, last) and the new dual one on lanes [begin, end). That is the old pivot column times `scale`,
/// the others are update(old column, the new row's value on it, new dual column).
template <class S, class Update>
inline void eliminate_columns(const Node<S>& before, const Step<S>& step, S scale, const Update& update, int first,
                              int last, int begin, int end, Node<S>& after) {
  const S* in = before.column(0);
  S* out = after.column(0);
  in_blocks<S>(begin, end, [&](auto block, int j) {
    eliminate_block<block>(in + j, before.lanes.rows(), step.row.data(), step.pivot, step.nulls, scale, update, first,
                           last, out + j, after.lanes.rows());
  });
}

/// Sets a node's norms from those of its r columns, of which the first `nulls` are null vectors.
inline void take_norms(const LineVector<double>& norms, int nulls, int r, double row_bound, NodeBounds& bounds) {
  const double* norm = norms.data();
  double null_norm = 0, sum = 0, largest = 0;
  for (int q = 0; q < nulls; ++q) null_norm = std::max(null_norm, norm[q]);
  for (int q = nulls; q < r; ++q) {
    sum += norm[q];
    largest = std::max(largest, norm[q]);
  }
  bounds.null_norm = row_bound * null_norm;
  bounds.dual_norm_sum = row_bound * sum;
  bounds.dual_norm_max = row_bound * largest;
}

/// Error bounds of a floating-point node after a step, when its norms are there, and `new_norm` of the new dual vector,
/// one of `duals`. The new row is `pivot` on the old null vector, up to sign, and at most `factor` on the old duals.
inline void update_errors(double pivot, double factor, int duals, const NodeBounds& before, double new_norm,
                          NodeBounds& after) {
  const double u = kRoundoff;
  after.null_error = 2 * before.null_error + 20 * u * std::max(before.null_norm, after.null_norm);
  const double new_error = (before.null_error + 8 * u * before.null_norm) / pivot + 4 * u * new_norm;
  after.dual_error = before.dual_error + factor * new_error + 10 * u * (before.dual_norm_max + factor * new_norm);
  after.dual_error = std::max(after.dual_error, new_error);
  // Written so that NaN and infinity are unreliable.
  after.reliable =
      before.reliable && duals * after.dual_error <= 0.25 && after.dual_norm_sum < std::numeric_limits<double>::max();
}

/// Bounds from the norms of the columns, which are in place.
inline void bound_closely(const Step<double>& step, const NodeBounds& before, double row_bound, Node<double>& after) {
  const double* row = step.row.data();
  double factor = 0;
  for (int q = step.nulls; q < step.rank; ++q) factor = std::max(factor, std::abs(row[q]));
  take_norms(after.norms, step.dual(), step.rank, row_bound, after.bounds);
  update_errors(std::abs(row[step.pivot]), factor, step.rank - step.dual(), before,
                row_bound * after.norms[static_cast<std::size_t>(step.dual())], after.bounds);
}

/// Norms and bounds from those before the step alone, by the triangle inequality; returns whether no decision is likely
/// to need better ones.
///
/// Nothing else need be there of the new columns' coordinates x - f t, t = x_p / pivot: the bounds are for those that
/// float64 would give, of norm at most (||x|| + |f| ||x_p|| / |pivot|) (1 + 6 u). What is computed here falls short of
/// this sum, with norms for ||.||, by a factor of 1 - 3 u at most, and norms are 1.001 times as large as they need be
/// at first: enough for many more steps than there are. No norm underflows, as a null column has a coordinate that is
/// one.
inline bool bound_loosely(const Step<double>& step, const Node<double>& before, double row_bound, Node<double>& after) {
  const double *row = step.row.data(), *norm = before.norms.data();
  double* new_norm = after.norms.data();
  const double dual = norm[step.pivot] / std::abs(row[step.pivot]);
  double null_norm = 0, sum = dual, largest = dual, factor = 0;
  for (int p = 0; p < step.dual(); ++p) {
    const int q = step.source(p);
    new_norm[p] = norm[q] + std::abs(row[q]) * dual;
    null_norm = std::max(null_norm, new_norm[p]);
  }
  new_norm[step.dual()] = dual;
  for (int q = step.nulls; q < step.rank; ++q) {
    const double size = std::abs(row[q]);
    new_norm[q] = norm[q] + size * dual;
    sum += new_norm[q];
    largest = std::max(largest, new_norm[q]);
    factor = std::max(factor, size);
  }
  NodeBounds& bounds = after.bounds;
  bounds.null_norm = row_bound * null_norm;
  bounds.dual_norm_sum = row_bound * sum;
  bounds.dual_norm_max = row_bound * largest;
  update_errors(std::abs(row[step.pivot]), factor, step.rank - step.dual(), before.bounds, row_bound * dual, bounds);
  return bounds.null_threshold() <= kSharp * bounds.null_norm &&
         bounds.dual_threshold() <= kSharp * bounds.dual_norm_max;
}

}  // namespace cvxrelu
