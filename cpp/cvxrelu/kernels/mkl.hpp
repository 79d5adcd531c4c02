// Multiple kernel learning over masking kernels K_i = D_i X X' D_i by iterative reweighting in kernel form. With
// K(eta) = sum_i eta_i K_i and kappa_i = ||X' D_i alpha||_F^2:
//
//     group form     min over eta >= 0        (beta/2) [ <Y, (K + beta I)^{-1} Y> + sum eta ]
//                  = min over W   1/2 ||Y - sum D_i X W_i||^2 + beta sum ||W_i||          (Frobenius norms)
//     simplex form   min over the simplex     (beta/2) <Y, (K + beta I)^{-1} Y>
//                  = min over W   1/2 ||Y - sum D_i X W_i||^2 + (beta/2) (sum ||W_i||)^2
//
// One iteration: alpha = (K(eta) + beta I)^{-1} Y; W_i = eta_i X' D_i alpha; eta_i <- ||W_i|| = eta_i sqrt(kappa_i), in
// the simplex form divided by the sum. The norms and the objective need no division by eta, so weights may underflow.
// Both objectives decrease (majorisation: Rakotomamonjy et al., SimpleMKL, 2008; Bach et al., Optimization with
// sparsity-inducing penalties, 2012, section 5). Objectives and gaps are those of W, whose residual is computed from
// it: they hold whatever the error of alpha (kernel_ridge.hpp, which also has the cost of an iteration).
//
// Convergence is sublinear where some kappa_i are close to 1: good for a start, poor for the last digits.
#pragma once

#include <vector>

#include "cvxrelu/base/monitor.hpp"
#include "cvxrelu/masks/masked_design.hpp"

namespace cvxrelu {

struct MklSettings {
  double tol = 1e-6;  // on the gap relative to the objective at zero
  Index max_iter = 10;
  bool simplex = false;
  /// Exponent of the update eta <- eta kappa^a. Above the 1/2 of the majorisation a step that raises the objective is
  /// taken back and done with 1/2.
  double relaxation = 1;
};

struct MklIterate {
  double objective = 0;         // of the program over W, at this iteration's W
  double kernel_objective = 0;  // of the program over eta, at this iteration's eta; never below `objective`
  double gap = 0;               // of `objective`
};

/// The iteration of smallest objective, with all of them in `history`.
struct MklResult {
  std::vector<MklIterate> history;
  Index best = 0;
  Matrix coef;           // (d c, p), column i is vec(W_i)
  Vector eta;            // (p,), the weights that gave `coef` by ridge regression
  bool stopped = false;  // by the monitor
  bool solved = true;    // false: alpha was lost to rounding, and the iteration ended there
};

/// Y is without its part in the unpenalised columns, whose orthonormal basis (n, q) may have no columns.
MklResult reweight_kernels(const MaskedDesign& design, const MatrixView& Y, const MatrixView& unpenalised, double beta,
                           const VectorView& eta, const MklSettings& settings, Monitor& monitor);

}  // namespace cvxrelu
