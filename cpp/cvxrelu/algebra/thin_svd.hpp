// Singular values and vectors of small matrices by one-sided Jacobi rotations (Hestenes, 1958), whose small singular
// values are as exact as the large ones. Some 6 sweeps of 3 r^2 s multiply-adds for a matrix of r by s or s by r, r <=
// s.
#pragma once

#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

/// A = left diag(values) right', in no order. Where a value is 0, its column of the longer side is 0.
struct ThinSvd {
  Matrix left, right;
  Vector values;
};

ThinSvd thin_svd(const MatrixView& A);

/// The values alone.
Vector singular_values(const MatrixView& A);

}  // namespace cvxrelu
