// Lengths of rows without overflow, the same bits wherever the rows lie in memory.
#pragma once

#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

inline Vector row_norms(const RowMatrixView& X) {
  Vector norms(X.rows()),
      row;  // Eigen's stableNorm begins where memory is aligned: in a vector of its own, at the front
  for (Index j = 0; j < X.rows(); ++j) {
    row = X.row(j);
    norms[j] = row.stableNorm();
  }
  return norms;
}

}  // namespace cvxrelu
