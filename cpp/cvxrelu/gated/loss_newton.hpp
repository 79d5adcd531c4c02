// Newton steps on the non-zero blocks of the gated program with any loss, where the objective is smooth:
//
//     gradient_a = beta omega_a W_a/||W_a|| + ridge W_a - A_a' R
//     Hessian    = A' L'' A + blkdiag( rho_a (I - w_a w_a') + ridge I ),   rho_a = beta omega_a / ||W_a||,
//
// L'' the loss's own Hessian, which for several outputs couples them. Solved by conjugate gradients with bit-table
// products, preconditioned along and across each w_a, together with the coefficients of the unpenalised columns, which
// are at their best before and after; then a line search, in which a block whose step crosses the origin becomes zero.
// A step costs two passes over the non-zero blocks for each conjugate-gradient iteration.
#pragma once

#include "cvxrelu/gated/group_lasso.hpp"
#include "cvxrelu/losses/unpenalised.hpp"

namespace cvxrelu {

class LossNewton {
 public:
  explicit LossNewton(const Loss& loss) : loss_(&loss) {}

  /// One step on the non-zero ones of `groups`, for the penalty of `penalty` (whose targets do not count): W has a
  /// column for each group, `fit` belongs to it. Returns false, with both unchanged, when no decrease was found.
  bool step(const GroupLassoProblem& penalty, const std::vector<Index>& groups, Matrix& W, CompletedFit& fit);

  Index n_steps() const { return n_steps_; }
  Index n_cg() const { return n_cg_; }

 private:
  struct Active;
  template <class S>  // precision of the products
  Matrix direction(const Active& active, const MatrixView& Z, const MatrixView& fitted);

  const Loss* loss_;
  bool single_ = true;  // float32 inside conjugate gradients; off once it has failed
  Index n_steps_ = 0, n_cg_ = 0;
};

}  // namespace cvxrelu
