#include "cvxrelu/kernels/mkl.hpp"

#include <algorithm>
#include <cmath>

#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/kernels/kernel_ridge.hpp"

namespace cvxrelu {

namespace {

constexpr double kMostTolerance = 1e-6, kLeastTolerance = 1e-9;  // of the equations of alpha
constexpr double kRounding = 1e-6;  // of a residual's squares, beside those of the targets, which they never exceed

/// Sizes at one eta, from which objectives and gaps follow.
struct Reweighting {
  Matrix R;      // the residual of W, which is beta alpha but for the rounding of alpha
  Matrix alpha;  // without a part in the unpenalised columns
  Vector kappa;  // ||X' D_i alpha||^2
  Vector norms;  // ||W_i|| = eta_i sqrt(kappa_i)
  double y_alpha, alpha_squared;
};

MklIterate values(const Reweighting& at, const Vector& eta, double beta, bool simplex) {
  MklIterate it;
  const double penalty = at.norms.sum(), largest = at.kappa.maxCoeff();
  const double loss = 0.5 * at.R.squaredNorm();
  // <Y, (K + beta I)^-1 Y>, a maximum over alpha, so that an error of alpha counts by its square.
  const double fit = at.y_alpha + (at.alpha.array() * (at.R - beta * at.alpha).array()).sum();
  // Gaps are sums of non-negative terms, with <W_i, X' D_i T> = s beta eta_i kappa_i for the dual point T = s beta
  // alpha and the best s were R = beta alpha.
  const auto apart = [&](double s) { return 0.5 * (at.R - (s * beta) * at.alpha).squaredNorm(); };
  if (simplex) {
    const double curvature = beta * at.alpha_squared + largest;
    const double s = curvature > 0 ? at.y_alpha / curvature : 1;
    const double half = penalty - s * std::sqrt(largest);
    const double off = (at.norms.array() * (std::sqrt(largest) - at.kappa.array().sqrt())).sum();
    it.objective = loss + 0.5 * beta * penalty * penalty;
    it.kernel_objective = 0.5 * beta * fit;
    it.gap = apart(s) + 0.5 * beta * half * half + s * beta * off;
  } else {
    const double feasible = largest > 0 ? 1 / std::sqrt(largest) : 1;
    const double best = at.alpha_squared > 0 ? at.y_alpha / (beta * at.alpha_squared) : 0;
    const double s = std::min(best, feasible);
    const double off = (at.norms.array() * (1 - s * at.kappa.array().sqrt())).max(0.0).sum();
    it.objective = loss + beta * penalty;
    it.kernel_objective = 0.5 * beta * (fit + eta.sum());
    it.gap = apart(s) + beta * off;
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
  require(Y.rows() == design.n_samples() && unpenalised.rows() == design.n_samples(),
          "Y and unpenalised must have one row per sample");
  require(eta_start.size() == design.n_patterns(), "eta must have one entry per pattern");
  require(beta > 0, "beta must be positive");

  MklResult result;
  const double at_zero = 0.5 * Y.squaredNorm();
  KernelRidge ridge(design, Y, unpenalised, beta, std::clamp(settings.tol, kLeastTolerance, kMostTolerance));
  Vector eta = eta_start, previous_eta;
  Reweighting now, previous;
  double previous_objective = 0;
  bool relaxed = false;
  while (static_cast<Index>(result.history.size()) < settings.max_iter) {
    if (!ridge.solve(eta)) {
      result.solved = false;
      break;
    }
    now.alpha = ridge.alpha();
    now.R = ridge.residual();
    now.kappa = ridge.correlations().colwise().squaredNorm();
    now.norms = eta.array() * now.kappa.array().sqrt();
    now.y_alpha = (Y.array() * now.alpha.array()).sum();
    now.alpha_squared = now.alpha.squaredNorm();
    if (!(0.5 * now.R.squaredNorm() <= (1 + kRounding) * at_zero)) {
      result.solved = false;
      break;
    }
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
      result.coef = ridge.coef();
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
