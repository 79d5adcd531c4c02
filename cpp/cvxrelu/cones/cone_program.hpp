// The ReLU program over a list of patterns with weights omega_i,
//
//     min L(sum_i D_i X (v_i - w_i) + Z gamma) + sum_i ( beta omega_i (||v_i|| + ||w_i||)
//                                                        + ridge/2 (||v_i||^2 + ||w_i||^2) ),   v_i, w_i in K_i,
//
// whose minimum over all cells, with unit weights and no ridge, is that of training a two-layer ReLU network with
// weight decay beta/2 on both layers (Pilanci and Ergen 2020) and an unpenalised linear part. L is any loss of
// cone_loss.hpp. Outer loop: the list is priced at the residual (cone_list.hpp), which gives the certified gap, and the
// worst violated cones join the working set; inner solver: cone_newton.hpp.
//
// Cost: a few dozen products with the masked design, cone projections, and Newton systems of the size of the faces.
// Memory: O(d p) for correlations, O(n K) for K free directions.
#pragma once

#include <vector>

#include "cvxrelu/cones/cone_newton.hpp"

namespace cvxrelu {

struct ConeProgramSettings {
  double tol = 1e-6;  // on the gap relative to the objective at zero
  Index max_iter = 200;
};

struct ConeProgramResult {
  double beta = 0;
  std::vector<SignedCone> cones;
  Matrix blocks;    // (d, m), the non-zero blocks
  Vector gamma;     // coefficients of the unpenalised columns
  Vector output;    // of the network that these are
  Vector residual;  // minus the gradient of the loss there
  Vector dual;
  double objective = 0;
  double gap = 0;
  double relative_gap = 0;
  double dual_norm = 0;  // bound on nu(residual)
  // What the dual point exceeds its constraints by where a ridge lets it, as the dual objective counts it.
  std::vector<double> own_excess;  // in the cones of the blocks
  double other_excess = 0;
  Index n_iter = 0;
  ConeWork work;
  bool converged = false;
  bool stopped = false;  // the monitor asked for it
};

class ConeProgram {
 public:
  /// `unpenalised` (n, q) has orthonormal columns.
  ConeProgram(ConeList& list, std::unique_ptr<ConeLoss> loss, const MatrixView& unpenalised, double ridge);

  /// Solves from the blocks of the last call, or from those given to `start`. Patterns may have been appended.
  ConeProgramResult solve(double beta, const ConeProgramSettings& settings, Monitor& monitor);

  /// Blocks to start from; columns outside their cones are projected.
  void start(const std::vector<SignedCone>& cones, const MatrixView& blocks);

  /// The objective of the zero network, with the best coefficients of the unpenalised columns.
  double at_zero() const { return at_zero_; }

  /// nu of the residual there: the smallest beta whose solution over the list is zero.
  double beta_max() { return list_.price(residual_at_zero_, 0.0, 2 * list_.size()).bound; }

 private:
  void grow(const Pricing& pricing, Index limit, Index& added);
  Vector output();

  ConeList& list_;
  std::unique_ptr<ConeLoss> loss_;
  Matrix unpenalised_;
  double ridge_;
  double at_zero_;
  Vector gamma_at_zero_, residual_at_zero_;
  ConeIterate at_;
};

}  // namespace cvxrelu
