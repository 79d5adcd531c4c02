// The gated-ReLU program, a group lasso over the masked design:
//
//     min over W   1/2 ||Y - sum_i A_i W_i||_F^2 + beta sum_i omega_i ||W_i||_F + ridge/2 sum_i ||W_i||_F^2,
//
// A_i = D_i X, Y of shape (n, c), W_i of shape (d, c), and where a basis Z of unpenalised columns is given, the loss
// is also minimised over a term Z gamma. The nuclear norm of blocks, the sum of their singular values, may take the
// place of the Frobenius norm; constraints are then on the largest singular value of A_i' R in place of its length. In
// this folder a group is the index i of a pattern, as the groups of a group lasso, and a block is the coefficients W_i
// that belong to it.
//
// Method: working sets chosen by the violation of ||A_i' R|| <= beta omega_i in a pass over all patterns; inside, a
// sweep of block-coordinate descent settles which blocks are non-zero, and Newton steps on those finish. Stops on the
// duality gap over all patterns, relative to the objective at zero. Under the nuclear norm Newton steps are over the
// neurons of the blocks (neuron_newton.hpp).
#pragma once

#include <algorithm>
#include <vector>

#include "cvxrelu/algebra/thin_svd.hpp"
#include "cvxrelu/base/monitor.hpp"
#include "cvxrelu/masks/masked_design.hpp"

namespace cvxrelu {

struct DualityGap;  // duality.hpp

enum class BlockNorm { frobenius, nuclear };

struct GroupLassoProblem {
  const MaskedDesign& design;
  MatrixView Y;  // (n, c), already without its part in the unpenalised columns
  double beta;
  VectorView group_weights;  // omega, (p,), positive
  double ridge = 0;
  MatrixView unpenalised;                       // (n, q) with orthonormal columns; q may be 0
  BlockNorm block_norm = BlockNorm::frobenius;  // under the nuclear norm there is no ridge
  /// L (d c, p): sweeps and Newton steps minimise the objective less sum_i <L_i, W_i>, of which gaps know nothing.
  const Matrix* linear = nullptr;

  Index block_size() const { return design.n_features() * Y.cols(); }
  double threshold(Index i) const { return beta * group_weights[i]; }
  /// Whether the norms differ, as they do not with one output or one feature.
  bool nuclear() const { return block_norm == BlockNorm::nuclear && std::min(design.n_features(), Y.cols()) > 1; }
  /// The norm of vec(W_i).
  double norm(const VectorView& w) const { return nuclear() ? singular_values(as_block(w)).sum() : w.norm(); }
  /// The dual norm of vec(A_i' T).
  double dual_norm(const VectorView& g) const { return nuclear() ? singular_values(as_block(g)).maxCoeff() : g.norm(); }
  Eigen::Map<const Matrix> as_block(const VectorView& w) const { return {w.data(), design.n_features(), Y.cols()}; }
  double objective_at_zero() const { return 0.5 * Y.squaredNorm(); }
  /// Removes the part of R in the span of the unpenalised columns.
  void project(Eigen::Ref<Matrix> R) const {
    if (unpenalised.cols() > 0) R -= unpenalised * (unpenalised.transpose() * R);
  }
};

/// Coefficients with their residual and the list of non-zero blocks.
struct Iterate {
  Matrix coef;      // (d c, p), column i is vec(W_i)
  Matrix residual;  // (n, c), Y - sum_i A_i W_i, projected

  explicit Iterate(const GroupLassoProblem& problem);
  std::vector<Index> active() const;
  /// Recomputes the residual from the coefficients, so that rounding errors of updates do not pile up.
  void refresh(const GroupLassoProblem& problem);
};

/// How the program over a working set is solved: by sweeps and Newton steps on the non-zero blocks (active_newton.hpp),
/// by the dual method (dual_newton.hpp), or by sweeps alone (block-coordinate descent). `automatic` begins with Newton
/// steps. Once those have done as much work as the dual method is expected to do in all, it changes to the dual method,
/// and has done at most about twice the work of the better of the two. `bcd` is slower than both at small penalties
/// (bench/peers/gated.py, from a tenth of beta_max down); it is kept to check the other two against.
enum class InnerSolver { automatic, newton, dual, bcd };

struct GroupLassoSettings {
  double tol = 1e-6;  // on the gap relative to the objective at zero
  Index max_iter = 200;
  InnerSolver solver = InnerSolver::automatic;
  bool continuation = true;  // approach a small beta through larger ones when starting from zero
};

/// Coefficients as their non-zero blocks, with the certificate and the work that they took.
struct GroupLassoResult {
  double beta = 0;
  std::vector<Index> active;
  Matrix blocks;  // (d c, m), column a is vec(W_i) for i = active[a]
  Matrix dual;    // (n, c)
  double objective = 0;
  double gap = 0;
  double relative_gap = 0;
  Index n_iter = 0;  // passes over all patterns
  Index n_sweeps = 0;
  Index n_newton = 0;
  Index n_cg = 0;      // conjugate-gradient iterations in all Newton steps
  Index n_direct = 0;  // Newton steps that factorised an n x n matrix
  bool converged = false;
  std::vector<InnerSolver> inner;  // what ended each working set

  /// Takes over coefficients and their certificate, whose dual point is a multiple of `residual`.
  void record(const Iterate& iterate, const MatrixView& residual, const DualityGap& certificate);
};

/// A loose solve on the way to a small beta.
struct Stage {
  double beta, tol;
};

/// Two solves at penalties between beta_max and beta in ratio: they settle most of the active set while it is small.
/// None where beta is not much below beta_max.
std::vector<Stage> continuation(double beta, double beta_max, double tol);

/// Solves for each of `betas`, which take the place of `problem.beta`, every one from the solution before. `start` has
/// a column for each pattern, or is empty; one that is no better than zero is not used. Finished points are appended to
/// `path`, so that they survive an exception; a point at which the monitor has asked to stop is the last.
void solve_group_lasso(const GroupLassoProblem& problem, const std::vector<double>& betas,
                       const GroupLassoSettings& settings, const MatrixView& start, Monitor& monitor,
                       std::vector<GroupLassoResult>& path);

/// ||A_i' Y|| / omega_i at its largest: the smallest beta whose solution is zero.
double group_lasso_beta_max(const GroupLassoProblem& problem);

}  // namespace cvxrelu
