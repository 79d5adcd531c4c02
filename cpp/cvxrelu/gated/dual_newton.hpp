// Proximal-point method on a working set, each of whose steps a semismooth Newton method solves in the dual (SSNAL;
// Zhang, Zhang, Sun and Toh, "An efficient Hessian based algorithm for solving large-scale sparse group Lasso
// problems", 2020).
//
// The step min_W P(W) + 1/(2 sigma) ||W - U||^2 has the dual min_T
//
//     psi(T) = 1/2 ||T||^2 - <Y, T> + sum_i ( ||Z_i|| - sigma t_i )_+^2 / (2 sigma (1 + sigma ridge)),
//
// Z_i = U_i + sigma A_i'T, t_i = beta omega_i, whose gradient is T - Y + sum_i A_i prox(Z_i) and whose Hessian is the
// identity plus a positive semidefinite sum over the blocks with ||Z_i|| > sigma t_i: no direction is singular,
// whatever the data, and blocks enter and leave by themselves. Slower than Newton steps on the non-zero blocks
// (active_newton.hpp) on data of moderate condition, where those settle at once; it is what finishes where they stall.
#pragma once

#include "cvxrelu/gated/group_lasso.hpp"
#include "cvxrelu/masks/sample_space.hpp"

namespace cvxrelu {

class DualNewton {
 public:
  explicit DualNewton(SampleSpace& space) : space_(space) {}

  /// Lowers the gap over `groups` to `tol`, or as far as the arithmetic allows. Returns whether it got there.
  bool solve(const GroupLassoProblem& problem, const std::vector<Index>& groups, Iterate& iterate, double tol);

  /// Whether steps factorise a matrix. Those by conjugate gradients can be many more than Newton steps on the non-zero
  /// blocks would be.
  static bool factorises(const GroupLassoProblem& problem);

  /// Multiply-adds that `solve` is expected to take for so many groups, where steps factorise.
  double expected_work(const GroupLassoProblem& problem, Index n_groups) const;

  Index n_steps() const { return n_steps_; }
  Index n_cg() const { return n_cg_; }
  Index n_direct() const { return n_direct_; }

 private:
  static constexpr Index kMostFactorised = 3000;  // samples, up to which a factorisation beats conjugate gradients
  static constexpr Index kMostTargets = 30000;    // for each active block so many numbers are held
  struct Point;
  Matrix direction(const GroupLassoProblem& problem, const RestrictedDesign& active, const Matrix& unit,
                   const Vector& q, double scale, const Matrix& gradient);

  SampleSpace& space_;
  Index n_steps_ = 0, n_cg_ = 0, n_direct_ = 0;
};

}  // namespace cvxrelu
