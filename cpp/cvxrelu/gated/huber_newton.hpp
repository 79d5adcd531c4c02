// The gated program with Huber's loss on a working set, with work that does not grow as delta falls: by the proximal
// point method of dual_newton.hpp, with errors that are paid for as further coefficients,
//
//     s huber(y - f) = min_o  s/2 (y - f - o)^2 + s delta |o|.
//
// A step of lengths sigma on the blocks, tau on the errors O and nu on the coefficients gamma of unpenalised columns Z
// has the dual min_T
//
//     psi(T) = sum_jk t^2 / (2 s) - y t + sum_i (||U_i + sigma A_i'T|| - sigma t_i)_+^2 / (2 sigma (1 + sigma ridge))
//              + sum_jk (|V + tau T| - tau s delta)_+^2 / (2 tau) + ||Gamma + nu Z'T||^2 / (2 nu),
//
// which a semismooth Newton method minimises in sqrt(s) T. Where a residual is beyond delta, its curvature is that of
// the step, 1 / s + tau, and not nothing, as that of the loss itself: steps are as many for a small delta, where the
// loss is delta times the sum of absolute errors, as for a large one.
//
// Cost of a Newton step: (n c)^2 (n c / 3 + m) where the matrix is factorised, else two passes over the blocks that are
// not zero for each conjugate-gradient iteration, few where the factor of a matrix that is nearly the same helps. Their
// number is bounded.
#pragma once

#include <functional>
#include <vector>

#include "cvxrelu/gated/group_lasso.hpp"
#include "cvxrelu/losses/losses.hpp"
#include "cvxrelu/masks/sample_space.hpp"

namespace cvxrelu {

class HuberNewton {
 public:
  HuberNewton(const MaskedDesign& design, const Loss& loss);

  /// Gives the coefficients W of `groups`, to which the outputs `fitted` belong, such that gap(W) is at most `tol`, or
  /// the best found. `penalty` has no targets. Returns whether it got there.
  bool solve(const GroupLassoProblem& penalty, const std::vector<Index>& groups, const Matrix& fitted, Matrix& W,
             double tol, const std::function<double(const Matrix&)>& gap);

  Index n_steps() const { return n_steps_; }
  Index n_cg() const { return n_cg_; }
  Index n_direct() const { return n_direct_; }
  void forget_counts() { n_steps_ = n_cg_ = n_direct_ = 0; }

 private:
  struct Lengths;
  struct Point;
  Point at(const GroupLassoProblem& penalty, const std::vector<Index>& groups, const Lengths& lengths, Matrix Z,
           Matrix errors, Matrix gamma) const;
  Matrix direction(const GroupLassoProblem& penalty, const std::vector<Index>& groups, const Lengths& lengths,
                   const Point& point, const Matrix& gradient);

  const MaskedDesign& design_;
  const Loss& loss_;
  SampleSpace space_;
  Vector root_, inverse_;  // of the weights' roots; 0 where there is no weight
  Index n_steps_ = 0, n_cg_ = 0, n_direct_ = 0;
};

}  // namespace cvxrelu
