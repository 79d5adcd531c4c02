// Kernel ridge regression for one weighted sum of masking kernels after the other, K(eta) = sum_i eta_i D_i X X' D_i:
//
//     (K(eta) + beta I) alpha = Y,   or its solution orthogonal to the unpenalised columns, of targets that are, too.
//
// By conjugate gradients from the alpha before, with bit-table products in float32 between residuals in float64,
// preconditioned by the part of K in X X', which the gates' shares make up. By a Cholesky factorisation of the matrix
// where samples are few, and from the first time on that conjugate gradients take as long. Cost: n d c p / 2 lane
// additions for an iteration; n^2 (d + p / 4) / 2 and n^3 / 6 multiply-adds for a factorisation, which alone needs n^2
// doubles.
#pragma once

#include <vector>

#include "cvxrelu/masks/masked_design.hpp"

namespace cvxrelu {

class KernelRidge {
 public:
  /// Keeps references. `unpenalised` is an orthonormal basis (n, q), to which Y (n, c) is orthogonal. Conjugate
  /// gradients leave at most `tolerance` of Y in the equations.
  KernelRidge(const MaskedDesign& design, const MatrixView& Y, const MatrixView& unpenalised, double beta,
              double tolerance);

  /// Solves for weights (p,). False when K(eta) + beta I is not positive definite in floating point.
  bool solve(const Vector& eta);

  const Matrix& alpha() const { return alpha_; }
  /// vec(X' D_i alpha) for every pattern, (d c, p).
  const Matrix& correlations() const { return correlations_; }
  /// vec(W_i) = eta_i vec(X' D_i alpha).
  const Matrix& coef() const { return coef_; }
  /// Y - sum_i D_i X W_i: beta alpha, but for the rounding of alpha, or what conjugate gradients left.
  const Matrix& residual() const { return residual_; }

 private:
  void fit(const Vector& eta);
  bool iterate(const Vector& eta);
  bool factorise(const Vector& eta);
  double conjugate_gradients(const Vector& eta, const Matrix& right, double target, double most, Matrix& x);
  void prepare();
  double factorisation_work() const;
  double iteration_work() const;
  void project(Matrix& A) const {
    if (unpenalised_.cols() > 0) A -= unpenalised_ * (unpenalised_.transpose() * A);
  }

  const MaskedDesign& design_;
  MatrixView Y_, unpenalised_;
  double beta_, tolerance_;
  RestrictedDesign patterns_;  // all
  bool direct_ = false;
  Matrix alpha_, correlations_, coef_, residual_;
  Vector shares_;   // ||D_i X||^2 / ||X||^2
  Matrix vectors_;  // eigenvectors of X X', projected, and its eigenvalues
  Vector values_;
  double squares_ = 0;  // ||X||^2
};

}  // namespace cvxrelu
