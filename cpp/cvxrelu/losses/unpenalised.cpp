#include "cvxrelu/losses/unpenalised.hpp"

#include <Eigen/Cholesky>

#include "cvxrelu/base/errors.hpp"

namespace cvxrelu {

namespace {

constexpr int kMostSteps = 1000;
constexpr int kMostHalvings = 8;
constexpr double kPerfect = 1e-14;     // residual of an output, relative to the first one, that counts as none
constexpr double kFlat = 1e-8;         // curvature there, relative to the majoriser's, of a loss without a minimum
constexpr double kOrthogonal = 1e-15;  // Z'R relative to both, that counts as none
constexpr double kDecrease = 0.1;
constexpr double kHidden = 1e-8;    // of the loss, a promised decrease that its rounding may hide
constexpr double kRegular = 1e-14;  // of the trace, added to a Hessian that may be singular

// Newton's direction for columns of coefficients with this Hessian, 0 where it vanishes.
Matrix solved(Matrix hessian, const Matrix& gradient) {
  const double trace = hessian.trace();
  if (!(trace > 0)) return Matrix::Zero(gradient.rows(), gradient.cols());
  hessian.diagonal().array() += kRegular * trace;
  return hessian.ldlt().solve(gradient);
}

// The direction for a curvature of each entry, as of losses that are a sum over the outputs.
Matrix separate_direction(const MatrixView& Z, const Matrix& curvatures, const Matrix& gradient) {
  Matrix direction(gradient.rows(), gradient.cols());
  for (Index l = 0; l < gradient.cols(); ++l)
    direction.col(l) = solved(Z.transpose() * curvatures.col(l).asDiagonal() * Z, gradient.col(l));
  return direction;
}

Matrix newton_direction(const Loss& loss, const MatrixView& Z, const Matrix& outputs, const Matrix& gradient) {
  const Index n = Z.rows(), q = Z.cols(), c = outputs.cols();
  if (!loss.couples_outputs())
    return separate_direction(Z, loss.hessian_product(outputs, Matrix::Ones(n, c)), gradient);
  Matrix hessian(q * c, q * c), along(n, c);
  for (Index l = 0; l < c; ++l)
    for (Index k = 0; k < q; ++k) {
      along.setZero();
      along.col(l) = Z.col(k);
      const Matrix image = Z.transpose() * loss.hessian_product(outputs, along);
      hessian.col(l * q + k) = image.reshaped();
    }
  Matrix direction = solved(hessian, gradient.reshaped()).reshaped(q, c);
  // Adding the same to all outputs changes nothing; rounding does, in a Hessian that is singular along it.
  direction.colwise() -= Vector(direction.rowwise().mean());
  return direction;
}

// Whether an output is fitted to rounding where the loss has become flat.
bool escapes(const Loss& loss, const Matrix& outputs, const Matrix& residual, const Vector& first) {
  for (Index l = 0; l < outputs.cols(); ++l) {
    if (residual.col(l).norm() > kPerfect * first[l]) continue;
    Matrix along = Matrix::Zero(outputs.rows(), outputs.cols());
    along.col(l).setOnes();
    const double curvature = loss.hessian_product(outputs, along).col(l).maxCoeff();
    if (curvature <= kFlat * loss.curvature(outputs, 1).maxCoeff()) return true;
  }
  return false;
}

}  // namespace

void fit_unpenalised(const Loss& loss, const MatrixView& Z, const MatrixView& offset, Matrix& gamma) {
  if (Z.cols() == 0) return;
  Matrix outputs = offset + Z * gamma, residual = loss.residual(outputs), trial(outputs.rows(), outputs.cols());
  const Vector first = residual.colwise().norm();
  Matrix gradient = Z.transpose() * residual;
  double value = loss.value(outputs);
  // Moves until the loss falls by a part of what its slope promises; where that is less than rounding hides, until the
  // gradient does.
  const auto moved = [&](const Matrix& direction) {
    const double slope = gradient.cwiseProduct(direction).sum();
    if (!(slope > 0)) return false;
    double length = 1;
    for (int halving = 0; halving < kMostHalvings; ++halving, length /= 2) {
      trial = outputs + length * (Z * direction);
      const double there = loss.value(trial);
      if (slope > kHidden * value && !(there <= value - kDecrease * length * slope)) continue;
      Matrix trial_residual = loss.residual(trial), trial_gradient = Z.transpose() * trial_residual;
      if (slope <= kHidden * value && !(trial_gradient.norm() < (1 - kDecrease) * gradient.norm())) continue;
      value = there;
      gamma += length * direction;
      std::swap(outputs, trial);
      std::swap(residual, trial_residual);
      std::swap(gradient, trial_gradient);
      return true;
    }
    return false;
  };
  for (int step = 0; step < kMostSteps; ++step) {
    if (gradient.norm() <= kOrthogonal * residual.norm() * Z.norm()) return;
    require(!escapes(loss, outputs, residual, first),
            "the unpenalised columns separate the targets (an intercept does where they are all alike): this loss has "
            "no minimum over their coefficients");
    if (residual.norm() <= kPerfect * first.norm()) return;
    if (moved(newton_direction(loss, Z, outputs, gradient))) continue;
    // Rounding is all that is left where this does not help either.
    if (!moved(separate_direction(Z, loss.curvatures(outputs, 1), gradient))) return;
  }
}

}  // namespace cvxrelu
