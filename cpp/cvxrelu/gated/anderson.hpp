// Anderson extrapolation of sweeps (Bertrand and Massias, "Anderson acceleration of coordinate descent", 2021): every
// fifth sweep the last iterates are combined so that the combined change is least, and kept if the objective falls.
#pragma once

#include <vector>

#include "cvxrelu/gated/group_lasso.hpp"

namespace cvxrelu {

/// The objective of an iterate whose blocks outside `groups` are zero.
double objective_over(const GroupLassoProblem& problem, const std::vector<Index>& groups, const Iterate& iterate);

class Anderson {
 public:
  Anderson(const GroupLassoProblem& problem, const std::vector<Index>& groups, const Iterate& iterate);
  /// Takes the iterate after a sweep. Returns true when it has tried an extrapolation.
  bool push(Iterate& iterate);

 private:
  static constexpr Index kDepth = 5;
  void remember(const Iterate& iterate);

  const GroupLassoProblem& problem_;
  const std::vector<Index>& groups_;
  Matrix history_;  // (d c |groups|, kDepth + 1), the iterates side by side
  Index filled_ = 0;
};

}  // namespace cvxrelu
