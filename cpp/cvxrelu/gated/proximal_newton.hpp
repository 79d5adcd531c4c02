// The gated program with a loss that is not squared:
//
//     min over W   sum_j s_j loss(y_j, f_j) + beta sum_i omega_i ||W_i||_F + ridge/2 sum_i ||W_i||_F^2,
//     F = sum_i D_i X W_i + Z gamma,
//
// also over the coefficients gamma of unpenalised columns Z, of which there may be none.
//
// Method: proximal Newton on working sets. At F the loss is replaced by a quadratic with the residual R and a curvature
// h_j for each sample, which makes the program a group lasso with rows sqrt(h_j) x_j and targets sqrt(h_j) f_j + r_j /
// sqrt(h_j), masks unchanged. solve_group_lasso solves that to a fraction of the present duality gap, since the next
// quadratic is a better one anyway, and a line search on the true objective takes the step. The program is that of the
// objective minimised over gamma: the quadratic's targets and masked designs are without their part in sqrt(h) Z, and
// wherever the objective is evaluated gamma is at its best, which makes the residual orthogonal to Z. Where a curvature
// for each sample is no Hessian (several outputs), a few sweeps on the quadratic settle which blocks are not zero, and
// Newton steps on those with the true Hessian follow. Where rows are many beside the coefficients, the quadratic is
// that of a sample of them (row_sample.hpp), and the best combination with the last iterates takes the line search's
// place (subspace_search.hpp).
// Stops on the duality gap over all patterns, relative to the objective at zero (Lee, Sun and Saunders, "Proximal
// Newton-type methods for minimizing composite functions", 2014).
//
// Cost: a pass over all patterns, and in each step on the working set that of a group lasso. Memory: as the group
// lasso, and a scaled copy of X.
#pragma once

#include <vector>

#include "cvxrelu/gated/duality.hpp"
#include "cvxrelu/gated/group_lasso.hpp"
#include "cvxrelu/losses/unpenalised.hpp"

namespace cvxrelu {

struct LossProblem {
  const MaskedDesign& design;
  const Loss& loss;
  double beta;
  VectorView group_weights;  // omega, (p,), positive
  double ridge = 0;
  MatrixView unpenalised;  // Z (n, q) with orthonormal columns; q may be 0

  Index n_outputs() const { return loss.targets().cols(); }
  Index block_size() const { return design.n_features() * n_outputs(); }
  double threshold(Index i) const { return beta * group_weights[i]; }
  /// Outputs of zero blocks, with the best coefficients of the unpenalised columns.
  CompletedFit fit_at_zero() const {
    CompletedFit fit(loss.targets().rows(), unpenalised.cols(), n_outputs());
    fit.complete(loss, unpenalised);
    return fit;
  }
};

/// As solve_group_lasso.
void solve_with_loss(const LossProblem& problem, const std::vector<double>& betas, const GroupLassoSettings& settings,
                     const MatrixView& start, Monitor& monitor, std::vector<GroupLassoResult>& path);

/// The gap of coefficients, (d c, p), against a dual point T = s R of others, shrunk to feasibility where it has to be.
DualityGap duality_gap(const LossProblem& problem, const Matrix& coef, const MatrixView& T);

}  // namespace cvxrelu
