// The function f(u) = theta.(Xu)_+ on the unit ball, made ready for a search over directions (direction_tree.hpp):
//
//     f(u) = c.v + sum_j s_j (a_j.v)_+,   v = Q'u,   s_j = +-1.
//
// Rows that are equal up to sign become one, by (-z)_+ = (z)_+ - z; those whose weights cancel vanish. Q are the
// principal axes of the weighted rows, sum_j theta_j^2 x_j x_j' = Q S Q': boxes along them need far fewer halvings
// where features are correlated. Axes along which the weighted rows together move f by no more than `negligible` are
// left out, as are those of a matrix X without full rank.
//
// O(n d^2 + n d log n) once. What rounding and the axes left out may do to f, and to the sums that a search makes of
// the rows, is bounded in `error`.
#pragma once

#include <vector>

#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

struct DirectionRows {
  DirectionRows(const RowMatrixView& X, const VectorView& theta, double negligible);

  Index size() const { return rows.rows(); }
  Index dimension() const { return rows.cols(); }

  RowMatrix rows;              // a_j
  std::vector<char> positive;  // whether s_j > 0
  Vector linear;               // c
  Matrix axes;                 // Q, of shape (d, dimension)
  double error = 0;            // f(u) <= the largest value at unit v that sums in double have + error
};

}  // namespace cvxrelu
