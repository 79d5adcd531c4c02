// Gates strictly inside their cells: verification with an error-bounded dot product on every row (exact where that
// cannot decide), and a slow search in quadruple precision for cells too thin for the usual construction.
#pragma once

#include <vector>

#include "cvxrelu/arrangement_rows.hpp"
#include "cvxrelu/types.hpp"

namespace cvxrelu {

class GateCheck {
 public:
  explicit GateCheck(const ArrangementRows& rows);

  /// Whether sign(a_j.gate) is as the mask says, and not zero, on all rows that are not zero. The gate has `rank`
  /// coordinates in the scaled columns. O(n r).
  bool inside(const double* gate, const Word* mask);
  std::int64_t exact_signs = 0;

  /// Writes a gate for the cell that lies at the ray orthogonal to `members` and the first `level` flag functionals.
  /// Returns false where no float64 gate was found.
  bool repair(const std::vector<int>& members, int level, const Word* mask, double* gate);

 private:
  bool exactly_inside(const double* gate, const Word* mask, int row);

  const ArrangementRows& rows_;
  Matrix lanes_;  // padded rows x rank
  std::vector<double> unscaled_;
};

}  // namespace cvxrelu
