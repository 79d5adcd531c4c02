// What the solver of the gated program asks of Newton steps on the non-zero blocks, under either norm.
#pragma once

#include "cvxrelu/gated/group_lasso.hpp"

namespace cvxrelu {

class NewtonSteps {
 public:
  virtual ~NewtonSteps() = default;

  /// One step. Returns false, with the iterate unchanged, when no decrease could be found.
  virtual bool step(Iterate& iterate) = 0;

  /// Multiply-adds and bit-table additions so far, which take about the same time.
  double work() const { return work_; }
  Index n_steps() const { return n_steps_; }
  Index n_cg() const { return n_cg_; }
  Index n_direct() const { return n_direct_; }

 protected:
  double work_ = 0;
  Index n_steps_ = 0, n_cg_ = 0, n_direct_ = 0;
};

}  // namespace cvxrelu
