#include "cvxrelu/gated/subspace_search.hpp"

#include <Eigen/QR>
#include <algorithm>
#include <cmath>

namespace cvxrelu {

Matrix best_combination(const LossProblem& problem, const VectorView& thresholds, const FittedBlocks& base,
                        const std::deque<FittedBlocks>& others, CompletedFit& fit) {
  constexpr int kSteps = 6, kHalvings = 10;
  constexpr double kRounded = 1e-3;  // of the mean length of a block
  const Loss& loss = problem.loss;
  const Matrix& Z = problem.unpenalised;
  const Index k = static_cast<Index>(others.size()), q = Z.cols(), size = base.coef.size(), rows = base.coef.rows(),
              c = base.fitted.cols();
  Matrix steps(size, k), changes(base.fitted.size(), k);
  for (Index i = 0; i < k; ++i) {
    steps.col(i) = (others[static_cast<std::size_t>(i)].coef - base.coef).reshaped();
    changes.col(i) = (others[static_cast<std::size_t>(i)].fitted - base.fitted).reshaped();
  }
  Vector a = Vector::Unit(k, 0);
  Matrix coef;
  double rounded = 0;
  CompletedFit trial = fit;
  const auto at = [&](const Vector& weights) {
    coef = base.coef + (steps * weights).reshaped(rows, base.coef.cols());
    trial.blocks = base.fitted + (changes * weights).reshaped(base.fitted.rows(), c);
    trial.complete(loss, Z);
    if (rounded == 0) rounded = kRounded * std::max(1e-300, coef.colwise().norm().mean());
    const Vector lengths = (coef.colwise().squaredNorm().transpose().array() + rounded * rounded).sqrt();
    return loss.value(trial.outputs) + thresholds.dot(lengths) + 0.5 * problem.ridge * coef.squaredNorm();
  };
  double value = at(a);
  for (int step = 0; step < kSteps; ++step) {
    fit = trial;
    const Matrix residual = loss.residual(fit.outputs), curvature = loss.curvatures(fit.outputs, 0);
    const Vector lengths = (coef.colwise().squaredNorm().transpose().array() + rounded * rounded).sqrt();
    const Vector weight = thresholds.cwiseQuotient(lengths);
    Matrix hessian = Matrix::Zero(k + q * c, k + q * c);
    Vector gradient = Vector::Zero(k + q * c);
    gradient.head(k) = changes.transpose() * residual.reshaped();
    Matrix parts(base.coef.cols(), k);  // of steps along their blocks
    Matrix weighted(size, k);
    for (Index i = 0; i < k; ++i) {
      const auto along = steps.col(i).reshaped(rows, base.coef.cols());
      parts.col(i) = along.cwiseProduct(coef).colwise().sum();
      weighted.col(i) = (along * (weight.array() + problem.ridge).matrix().asDiagonal()).reshaped();
    }
    gradient.head(k) -= parts.transpose() * (weight.array() + problem.ridge).matrix();
    const Vector radial = weight.cwiseQuotient(lengths.cwiseAbs2());
    hessian.topLeftCorner(k, k) = changes.transpose() * curvature.reshaped().asDiagonal() * changes +
                                  steps.transpose() * weighted - parts.transpose() * radial.asDiagonal() * parts;
    for (Index o = 0; q > 0 && o < c; ++o) {
      const Matrix HZ = curvature.col(o).asDiagonal() * Z;
      hessian.block(k + o * q, k + o * q, q, q) = Z.transpose() * HZ;
      hessian.block(k + o * q, 0, q, k) = HZ.transpose() * changes.middleRows(o * Z.rows(), Z.rows());
    }
    hessian.triangularView<Eigen::StrictlyUpper>() = hessian.transpose().eval();
    // Iterates may be combinations of each other.
    Eigen::CompleteOrthogonalDecomposition<Matrix> inverse(hessian.rows(), hessian.cols());
    inverse.setThreshold(1e-10);
    inverse.compute(hessian);
    const Vector direction = inverse.solve(gradient).head(k);
    if (!direction.allFinite()) break;
    double t = 1, next = value;
    int halving = 0;
    for (; halving < kHalvings; ++halving, t /= 2)
      if ((next = at(a + t * direction)) < value) break;
    if (halving == kHalvings) break;
    a += t * direction;
    const double gained = value - next;
    value = next;
    if (gained <= 1e-3 * gradient.head(k).dot(direction) * t || gained < 1e-12 * std::abs(value)) break;
  }
  at(a);
  fit = trial;
  return coef;
}

}  // namespace cvxrelu
