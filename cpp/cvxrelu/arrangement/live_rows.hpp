// Rows as normals of cones: only their directions count, so they are scaled by powers of two, which is exact.
#pragma once

#include <cmath>
#include <vector>

#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

/// The rows that are not zero, with norms between 1/2 and 1; `live` gets their positions.
inline RowMatrix rows_of_one_size(const RowMatrixView& rows, std::vector<Index>& live) {
  for (Index j = 0; j < rows.rows(); ++j) {
    if ((rows.row(j).array() != 0).any()) live.push_back(j);
  }
  RowMatrix scaled(static_cast<Index>(live.size()), rows.cols());
  for (Index i = 0; i < scaled.rows(); ++i) {
    const auto row = rows.row(live[static_cast<std::size_t>(i)]);
    int e = 0;
    std::frexp(row.cwiseAbs().maxCoeff(), &e);
    for (Index k = 0; k < row.size(); ++k) scaled(i, k) = std::ldexp(row[k], -e);
    std::frexp(scaled.row(i).norm(), &e);
    scaled.row(i) *= std::ldexp(1.0, -e);
  }
  return scaled;
}

}  // namespace cvxrelu
