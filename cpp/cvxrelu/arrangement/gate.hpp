// Gates strictly inside their cells: verification with an error-bounded dot product on every row (exact where that
// cannot decide), and a slow search with 128 bits for cells too thin for the usual construction.
//
// In the cone over an affine arrangement (SearchSettings::affine) what has to be inside is the point u / t of a gate
// (u, t), as rounded. A quotient is off by 2^-53 of itself, so that t times the point (u / t, 1) differs from the gate
// by 2^-53 of its norm at most: that much more is asked of the products with the gate, and where they are less the
// point itself is decided, exactly.
#pragma once

#include <array>
#include <vector>

#include "cvxrelu/arrangement/near.hpp"
#include "cvxrelu/arrangement/rows.hpp"
#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

/// A cell by its ray, which is orthogonal to `members` and to the first `level` functionals of the flag.
struct RayCell {
  std::vector<int> members;  // in decreasing order
  int level = 0;
  /// What decides the sign of every row: 0 the ray, 1 the dual vector of the last member, 2 that of the one before ...
  std::vector<int> stage;
};

class GateCheck {
 public:
  GateCheck(const ArrangementRows& rows, bool affine);

  /// Whether sign(a_j.gate) is as the mask says, and not zero, on all rows that are not zero. The gate has `rank`
  /// coordinates in the scaled columns, all finite, and at most this norm, or a thousandth more. O(n r).
  bool inside(const double* gate, const Word* mask, double norm = 1);
  /// The same by the rows near it, which know their signs in the mask.
  bool inside(const double* gate, const Word* mask, const NearRows& near);
  std::int64_t exact_signs = 0;

  /// Writes the point of a gate in the columns given, all but the last; zeros where float64 does not hold it.
  void write_point(const double* gate, double* point) const;

  /// Writes a gate for the cell at a ray; returns false where no float64 gate was found.
  bool repair(const RayCell& cell, const Word* mask, double* gate);

 private:
  /// Whether sums of products in S show it, given a bound on their errors.
  template <class S>
  bool surely_inside(const S* gate, const S* const* columns, const Word* mask, double bound) const;
  bool exactly_inside(const double* gate, const Word* mask, int row);
  /// Whether all quotients of a point are rounded as those of numbers in the middle of the range.
  bool divides_evenly(const double* gate) const;
  /// A quotient with its power of two, wherever in the range it is.
  double quotient(const double* gate, int column) const;

  const ArrangementRows& rows_;
  const bool affine_;
  const int last_;     // the column of t, where the arrangement is affine
  bool even_ = false;  // whether the columns' powers of two are in the middle of the range
  std::array<double, ArrangementRows::kMaxRank + 2> ratio_{};  // what turns quotients into coordinates
  // Padded rows x rank, and their columns: of the scaled rows, and rounded for a first test of many.
  Matrix lanes_;
  Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic> single_lanes_;
  std::vector<const double*> columns_;
  std::vector<const float*> single_columns_;
  double dot_bound_;  // on the errors of products with all rows, of norm one at most
  std::vector<double> unscaled_;
};

}  // namespace cvxrelu
