#include "cvxrelu/losses/unpenalised.hpp"

#include <Eigen/Cholesky>

#include "cvxrelu/base/errors.hpp"

namespace cvxrelu {

namespace {

constexpr int kMostSteps = 200;
constexpr int kMostHalvings = 8;
constexpr int kMostIdle = 3;         // steps that change no digit of the loss
constexpr double kPerfect = 1e-14;   // residual of an output, relative to the first one, that counts as none
constexpr double kFlat = 1e-8;       // curvature there, relative to the majoriser's, of a loss without a minimum
constexpr double kRegular = 1e-14;   // of the trace, added to a Hessian that may be singular

// Newton's direction for columns of coefficients with this Hessian, 0 where it vanishes.
Matrix solved(Matrix hessian, const Matrix& gradient) {
  const double trace = hessian.trace();
  if (!(trace > 0)) return Matrix::Zero(gradient.rows(), gradient.cols());
  hessian.diagonal().array() += kRegular * trace;
  return hessian.ldlt().solve(gradient);
}

Matrix newton_direction(const Loss& loss, const MatrixView& Z, const Matrix& outputs, const Matrix& gradient) {
  const Index n = Z.rows(), q = Z.cols(), c = outputs.cols();
  if (!loss.couples_outputs()) {
    const Matrix curvatures = loss.hessian_product(outputs, Matrix::Ones(n, c));
    Matrix direction(q, c);
    for (Index l = 0; l < c; ++l)
      direction.col(l) = solved(Z.transpose() * curvatures.col(l).asDiagonal() * Z, gradient.col(l));
    return direction;
  }
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
  double value = loss.value(outputs);
  int idle = 0;
  // Moves as far as the loss does not rise.
  const auto moved = [&](const Matrix& direction) {
    double length = direction.isZero(0) ? 0 : 1;
    for (int halving = 0; halving < kMostHalvings && length > 0; ++halving, length /= 2) {
      trial = outputs + length * (Z * direction);
      const double there = loss.value(trial);
      if (!(there <= value * (1 + 1e-15))) continue;
      idle = there < value ? 0 : idle + 1;
      value = there;
      gamma += length * direction;
      std::swap(outputs, trial);
      residual = loss.residual(outputs);
      return true;
    }
    return false;
  };
  for (int step = 0; step < kMostSteps && idle < kMostIdle; ++step) {
    const Matrix gradient = Z.transpose() * residual;
    if (gradient.norm() <= 1e-15 * residual.norm() * Z.norm()) return;
    require(!escapes(loss, outputs, residual, first),
            "the unpenalised columns separate the targets (an intercept does where they are all alike): this loss has "
            "no minimum over their coefficients");
    if (residual.norm() <= kPerfect * first.norm()) return;
    if (moved(newton_direction(loss, Z, outputs, gradient))) continue;
    // Rounding is all that is left where this does not help either.
    if (!moved(solved(Z.transpose() * loss.curvature(outputs, 1).asDiagonal() * Z, gradient))) return;
  }
}

}  // namespace cvxrelu
