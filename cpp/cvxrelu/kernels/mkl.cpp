#include "cvxrelu/kernels/mkl.hpp"

#include <Eigen/QR>
#include <algorithm>
#include <cmath>

#include "cvxrelu/algebra/symmetric.hpp"
#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/kernels/masking_kernel.hpp"
#include "cvxrelu/masks/bits.hpp"

namespace cvxrelu {

namespace {

/// Sizes at one eta, from which objectives and gaps follow.
struct Reweighting {
  Vector kappa;  // ||X' D_i alpha||^2
  Vector norms;  // ||W_i|| = eta_i sqrt(kappa_i)
  double y_alpha, alpha_squared;
};

MklIterate values(const Reweighting& at, const Vector& eta, double beta, bool simplex) {
  MklIterate it;
  const double penalty = at.norms.sum(), largest = at.kappa.maxCoeff();
  const double loss = 0.5 * beta * beta * at.alpha_squared;
  // Gaps are sums of non-negative terms, with <W_i, X' D_i T> = s beta eta_i kappa_i for the dual point T = s beta
  // alpha and the best s.
  if (simplex) {
    const double curvature = beta * at.alpha_squared + largest;
    const double s = curvature > 0 ? at.y_alpha / curvature : 1;
    const double half = penalty - s * std::sqrt(largest);
    const double off = (at.norms.array() * (std::sqrt(largest) - at.kappa.array().sqrt())).sum();
    it.objective = loss + 0.5 * beta * penalty * penalty;
    it.kernel_objective = 0.5 * beta * at.y_alpha;
    it.gap = loss * (1 - s) * (1 - s) + 0.5 * beta * half * half + s * beta * off;
  } else {
    const double feasible = largest > 0 ? 1 / std::sqrt(largest) : 1;
    const double best = at.alpha_squared > 0 ? at.y_alpha / (beta * at.alpha_squared) : 0;
    const double s = std::min(best, feasible);
    const double off = (at.norms.array() * (1 - s * at.kappa.array().sqrt())).max(0.0).sum();
    it.objective = loss + beta * penalty;
    it.kernel_objective = 0.5 * beta * (at.y_alpha + eta.sum());
    it.gap = loss * (1 - s) * (1 - s) + beta * off;
  }
  return it;
}

Vector updated(const Vector& eta, const Vector& kappa, double exponent, bool simplex) {
  Vector next = eta.array() * kappa.array().pow(exponent);
  const double sum = next.sum();
  if (simplex && sum > 0) next /= sum;
  return next;
}

}  // namespace

MklResult reweight_kernels(const MaskedDesign& design, const MatrixView& Y, const MatrixView& unpenalised, double beta,
                           const VectorView& eta_start, const MklSettings& settings, Monitor& monitor) {
  const Index n = design.n_samples(), p = design.n_patterns(), size = design.n_features() * Y.cols();
  require(Y.rows() == n && unpenalised.rows() == n, "Y and unpenalised must have one row per sample");
  require(eta_start.size() == p, "eta must have one entry per pattern");
  require(beta > 0, "beta must be positive");

  const Eigen::Map<const WordMatrix> words(design.pattern(0), p, words_for(n));
  MklResult result;
  const double at_zero = 0.5 * Y.squaredNorm();
  RowMatrix K(n, n);
  Eigen::Map<Matrix> symmetric(K.data(), n, n);  // K by columns, which is K
  Matrix alpha(n, Y.cols()), correlations(size, p);
  Vector eta = eta_start, previous_eta;
  Reweighting now, previous;
  double previous_objective = 0;
  bool relaxed = false;
  while (static_cast<Index>(result.history.size()) < settings.max_iter) {
    masking_kernel(design.X(), words, eta, K, design.n_threads(), monitor);
    K.diagonal().array() += beta;
    if (!cholesky(symmetric, design.n_threads(), monitor)) {
      result.positive_definite = false;
      break;
    }
    alpha = Y;
    solve_lower(symmetric, alpha, design.n_threads(), monitor);
    if (unpenalised.cols() > 0) {
      // With K + beta I = L L' the alpha orthogonal to Z is L'^-1 (I - P) L^-1 Y, P onto the span of L^-1 Z.
      Matrix whitened = unpenalised;
      solve_lower(symmetric, whitened, design.n_threads(), monitor);
      const Eigen::HouseholderQR<Matrix> qr(whitened);
      const Matrix Q = qr.householderQ() * Matrix::Identity(n, unpenalised.cols());
      alpha -= Q * (Q.transpose() * alpha);
    }
    symmetric.triangularView<Eigen::Lower>().transpose().solveInPlace(alpha);
    design.correlations(alpha, correlations);
    now.kappa = correlations.colwise().squaredNorm();
    now.norms = eta.array() * now.kappa.array().sqrt();
    now.y_alpha = (Y.array() * alpha.array()).sum();
    now.alpha_squared = alpha.squaredNorm();
    const MklIterate iterate = values(now, eta, beta, settings.simplex);

    // Rounding may raise an objective that has settled; that is no reason to take a step back.
    if (relaxed && iterate.kernel_objective > previous_objective + 1e-14 * at_zero) {
      eta = updated(previous_eta, previous.kappa, 0.5, settings.simplex);
      relaxed = false;
      continue;
    }
    const bool best =
        result.history.empty() || iterate.objective < result.history[static_cast<std::size_t>(result.best)].objective;
    result.history.push_back(iterate);
    if (best) {
      result.best = static_cast<Index>(result.history.size()) - 1;
      result.eta = eta;
      result.coef = correlations * eta.asDiagonal();
    }
    const double relative_gap = at_zero > 0 ? iterate.gap / at_zero : 0;
    const bool go_on = monitor.report({static_cast<Index>(result.history.size()), iterate.objective, iterate.gap,
                                       relative_gap, (eta.array() > 0).count()});
    if (!go_on) {
      result.stopped = true;
      break;
    }
    if (relative_gap <= settings.tol) break;
    previous_eta = eta;
    previous = now;
    previous_objective = iterate.kernel_objective;
    relaxed = settings.relaxation > 0.5;
    eta = updated(eta, now.kappa, settings.relaxation, settings.simplex);
  }
  return result;
}

}  // namespace cvxrelu
