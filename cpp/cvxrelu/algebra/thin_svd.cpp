#include "cvxrelu/algebra/thin_svd.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace cvxrelu {

namespace {

// Rotates pairs of columns of W until all are orthogonal, and those of V, unless it is null, with them.
void orthogonalise(Matrix& W, Matrix* V) {
  constexpr int kMostSweeps = 60;  // convergence is quadratic: only what is not finite takes so many
  constexpr double kOrthogonal = 4 * std::numeric_limits<double>::epsilon();
  const auto rotate = [](Matrix& M, Index i, Index j, double cosine, double sine) {
    for (Index k = 0; k < M.rows(); ++k) {
      const double x = M(k, i), y = M(k, j);
      M(k, i) = cosine * x - sine * y;
      M(k, j) = sine * x + cosine * y;
    }
  };
  bool rotated = true;
  for (int sweep = 0; sweep < kMostSweeps && rotated; ++sweep) {
    rotated = false;
    Vector squares = W.colwise().squaredNorm();  // kept up to date within a sweep
    for (Index i = 0; i < W.cols(); ++i) {
      for (Index j = i + 1; j < W.cols(); ++j) {
        const double a = squares[i], b = squares[j], overlap = W.col(i).dot(W.col(j));
        if (!(std::abs(overlap) > kOrthogonal * std::sqrt(a) * std::sqrt(b))) continue;
        const double cotangent = (b - a) / (2 * overlap);  // of twice the angle
        const double tangent =
            std::copysign(1 / (std::abs(cotangent) + std::sqrt(1 + cotangent * cotangent)), cotangent);
        const double cosine = 1 / std::sqrt(1 + tangent * tangent);
        rotate(W, i, j, cosine, cosine * tangent);
        if (V) rotate(*V, i, j, cosine, cosine * tangent);
        squares[i] = std::max(0.0, a - tangent * overlap);
        squares[j] = b + tangent * overlap;
        rotated = true;
      }
    }
  }
}

// The matrix with its longer side down, over the size of its largest entry, so that no square underflows.
Matrix upright(const MatrixView& A, double& size) {
  const double largest = A.size() ? A.cwiseAbs().maxCoeff() : 0.0;
  size = largest > 0 ? largest : 1;
  if (A.rows() >= A.cols()) return A / size;
  return A.transpose() / size;
}

}  // namespace

ThinSvd thin_svd(const MatrixView& A) {
  double size;
  Matrix W = upright(A, size), V = Matrix::Identity(W.cols(), W.cols());
  orthogonalise(W, &V);
  Vector values = W.colwise().norm();
  for (Index k = 0; k < W.cols(); ++k)
    if (values[k] > 0) W.col(k) /= values[k];
  values *= size;
  if (A.rows() >= A.cols()) return {std::move(W), std::move(V), std::move(values)};
  return {std::move(V), std::move(W), std::move(values)};
}

Vector singular_values(const MatrixView& A) {
  double size;
  Matrix W = upright(A, size);
  orthogonalise(W, nullptr);
  return size * W.colwise().norm();
}

}  // namespace cvxrelu
