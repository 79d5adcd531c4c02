// Newton steps on the non-zero blocks of the group lasso, where the objective is smooth:
//
//     gradient_a = beta omega_a W_a/||W_a|| + ridge W_a - A_a' R
//     Hessian    = A'P A + blkdiag( rho_a (I - w_a w_a') + ridge I ),
//
// w_a = W_a/||W_a||, rho_a = beta omega_a / ||W_a||, P the projection off the unpenalised columns. Two ways to solve,
// chosen by an estimate of their flops:
//  - conjugate gradients with bit-table products, preconditioned by the diagonal blocks;
//  - a Cholesky factorisation in sample space, of S = I + sum_a A_a A_a' / (rho_a + ridge), one for all outputs,
//    bordered by the radial directions w_a, along which the penalty has no curvature, and which couple the outputs. In
//    float32 it preconditions conjugate gradients that need few iterations; where it does not, double takes its place.
// The step is followed by a projected line search: a block whose step crosses the origin becomes zero.
#pragma once

#include "cvxrelu/gated/block_update.hpp"
#include "cvxrelu/gated/newton_steps.hpp"
#include "cvxrelu/masks/sample_space.hpp"

namespace cvxrelu {

class ActiveNewton final : public NewtonSteps {
 public:
  /// Conjugate-gradient iterations that a step has until one is known to take more, and may have at most.
  static constexpr Index kLeastCg = 5, kMostCg = 100;

  /// `expected_cg`, kLeastCg at first, is what steps tell those of the next object.
  ActiveNewton(const GroupLassoProblem& problem, BlockUpdate& blocks, SampleSpace& space, Index& expected_cg)
      : problem_(problem), blocks_(blocks), space_(space), expected_cg_(expected_cg) {}

  bool step(Iterate& iterate) override;

 private:
  struct Active;  // the non-zero blocks with what both solvers need
  template <class S>
  class SampleInverse;
  template <class S, class Preconditioner>
  Matrix conjugate_gradients(const Active& active, const Preconditioner& preconditioner, Index most, Index& iterations);
  template <class S>
  Matrix direction_by_cg(const Active& active);
  Matrix direction_by_factorisation(const Active& active);
  double factorisation_work(Index m) const;  // of m blocks
  bool factorises(Index m) const;            // whether that is an option
  /// Of a conjugate-gradient iteration.
  double iteration_work(Index m) const { return 2 * problem_.design.product_work(m, problem_.Y.cols()); }
  bool line_search(const Active& active, const Matrix& direction, Iterate& iterate);

  const GroupLassoProblem& problem_;
  BlockUpdate& blocks_;
  SampleSpace& space_;
  Index& expected_cg_;         // iterations that a step by conjugate gradients is expected to take
  bool single_ = true;         // float32 inside conjugate gradients; off once it has failed
  bool single_factor_ = true;  // the same of factors in sample space
};

}  // namespace cvxrelu
