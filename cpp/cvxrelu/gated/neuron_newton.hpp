// Newton steps under the nuclear norm, over the neurons behind the gates of non-zero blocks. Neuron k with input
// weights a and output weights b adds a b' to the block of its gate i, and its weight decay sums to the nuclear norms:
//
//     1/2 ||Y - sum_k A_i a b'||^2 + sum_k t_i/2 (||a||^2 + ||b||^2),   t_i = beta omega_i.
//
// With C_i = A_i' R the gradient is (t a - C b, t b - C' a), and the Hessian maps (x, y) to
//
//     (t x + Q b - C y,  t y + Q' a - C' x),   Q_i = A_i' P sum_l A_l (x b' + a y')_l.
//
// It is positive semidefinite where ||C_i|| <= t_i, as at the solution. Elsewhere the objective is not convex in a and
// b, and larger singular values of C_i are taken for t_i in the Hessian.
//
// Every step begins with the neurons of least weight decay, the singular triples of the blocks. Its direction is from
// conjugate gradients, preconditioned by the Hessian's block of each neuron. Along it the objective is a polynomial of
// degree 4, so that its length is that of the minimum. How many neurons a gate has is left to the sweeps
// (block_update.hpp) in between.
#pragma once

#include "cvxrelu/gated/block_update.hpp"
#include "cvxrelu/gated/newton_steps.hpp"

namespace cvxrelu {

class NeuronNewton final : public NewtonSteps {
 public:
  NeuronNewton(const GroupLassoProblem& problem, BlockUpdate& blocks) : problem_(problem), blocks_(blocks) {}

  bool step(Iterate& iterate) override;

 private:
  struct Neurons;
  class Preconditioner;
  template <class S>
  Matrix direction(const Neurons& neurons);
  bool line_search(const Neurons& neurons, const Matrix& direction, Iterate& iterate);

  const GroupLassoProblem& problem_;
  BlockUpdate& blocks_;
  bool single_ = true;  // float32 inside conjugate gradients; off once it has failed
};

}  // namespace cvxrelu
