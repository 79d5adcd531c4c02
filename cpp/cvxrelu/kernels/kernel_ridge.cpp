#include "cvxrelu/kernels/kernel_ridge.hpp"

#include <Eigen/Eigenvalues>
#include <Eigen/QR>
#include <algorithm>
#include <numeric>

#include "cvxrelu/algebra/symmetric.hpp"
#include "cvxrelu/kernels/masking_kernel.hpp"
#include "cvxrelu/masks/bits.hpp"

namespace cvxrelu {

namespace {

constexpr Index kFewSamples = 256;  // up to so many a factorisation is a small part of all that is done
constexpr double kSingle = 2e-6;    // of a residual, as far as products in float32 reduce it

std::vector<Index> all_patterns(const MaskedDesign& design) {
  std::vector<Index> every(static_cast<std::size_t>(design.n_patterns()));
  std::iota(every.begin(), every.end(), Index{0});
  return every;
}

}  // namespace

KernelRidge::KernelRidge(const MaskedDesign& design, const MatrixView& Y, const MatrixView& unpenalised, double beta,
                         double tolerance)
    : design_(design),
      Y_(Y),
      unpenalised_(unpenalised),
      beta_(beta),
      tolerance_(tolerance),
      patterns_(design, all_patterns(design)),
      alpha_(Matrix::Zero(Y.rows(), Y.cols())),
      correlations_(Matrix::Zero(design.n_features() * Y.cols(), design.n_patterns())),
      residual_(Y.rows(), Y.cols()) {
  direct_ = design.n_samples() <= kFewSamples || factorisation_work() < 2 * iteration_work();
  if (!direct_) prepare();
}

double KernelRidge::factorisation_work() const {
  const double n = static_cast<double>(design_.n_samples()), p = static_cast<double>(design_.n_patterns());
  return n * n * ((static_cast<double>(design_.n_features()) + p / 4) / 2 + n / 6);
}

// Half of it in float32.
double KernelRidge::iteration_work() const { return design_.product_work(design_.n_patterns(), Y_.cols()); }

void KernelRidge::prepare() {
  const Index p = design_.n_patterns(), d = design_.n_features();
  squares_ = design_.X().squaredNorm();
  shares_.resize(p);
  for (Index i = 0; i < p; ++i) shares_[i] = squares_ > 0 ? design_.trace(i) / squares_ : 0;
  vectors_.resize(design_.n_samples(), 0);
  if (2 * d > design_.n_samples()) return;
  Matrix X = design_.X();
  project(X);
  const Eigen::SelfAdjointEigenSolver<Matrix> solver(X.transpose() * X);
  const double least = 1e-12 * solver.eigenvalues().maxCoeff();
  const Index rank = (solver.eigenvalues().array() > least).count();
  values_ = solver.eigenvalues().tail(rank);
  vectors_.noalias() = X * (solver.eigenvectors().rightCols(rank) * values_.cwiseSqrt().cwiseInverse().asDiagonal());
}

void KernelRidge::fit(const Vector& eta) {
  coef_ = correlations_ * eta.asDiagonal();
  patterns_.fitted<double>(coef_, residual_);
  residual_ = Y_ - residual_;
  project(residual_);
}

bool KernelRidge::solve(const Vector& eta) {
  if (!direct_) {
    if (iterate(eta)) return true;
    direct_ = true;
  }
  if (!factorise(eta)) return false;
  design_.correlations(alpha_, correlations_);
  fit(eta);
  return true;
}

bool KernelRidge::iterate(const Vector& eta) {
  const double goal = tolerance_ * Y_.norm();
  double work = 0;
  for (;;) {
    fit(eta);
    const Matrix left = residual_ - beta_ * alpha_;
    const double size = left.norm();
    if (size <= goal) return true;
    if (!(work < factorisation_work())) return false;
    Matrix x;
    work += conjugate_gradients(eta, left, std::max(kSingle, 0.5 * goal / size), factorisation_work() - work, x);
    alpha_ += x;
    project(alpha_);
    design_.correlations(alpha_, correlations_);
    work += 2 * iteration_work();
  }
}

// Solves for `right` to a residual of `target`, relative to it, with at most so much work; returns what it was.
double KernelRidge::conjugate_gradients(const Vector& eta, const Matrix& right, double target, double most, Matrix& x) {
  const double slope = eta.dot(shares_.cwiseAbs2()),
               rest = beta_ + (eta.dot(shares_) - slope) * squares_ / static_cast<double>(design_.n_samples());
  const Vector taken = (slope * values_).array() / (slope * values_.array() + rest);
  const auto precondition = [&](const Matrix& r) -> Matrix {
    if (vectors_.cols() == 0) return r;
    return (r - vectors_ * (taken.asDiagonal() * (vectors_.transpose() * r))) / rest;
  };
  Matrix r = right, z = precondition(r), s = z, q(r.rows(), r.cols());
  Matrix correlations(correlations_.rows(), correlations_.cols());
  x = Matrix::Zero(r.rows(), r.cols());
  const double goal = target * right.norm();
  double rz = r.cwiseProduct(z).sum(), work = 0;
  while (r.norm() > goal && work < most) {
    patterns_.correlations<float>(s, correlations);
    patterns_.fitted<float>(correlations * eta.asDiagonal(), q);
    project(q);
    q += beta_ * s;
    work += iteration_work();
    const double curvature = s.cwiseProduct(q).sum();
    if (!(curvature > 0 && rz > 0)) return most;
    x += (rz / curvature) * s;
    r -= (rz / curvature) * q;
    z = precondition(r);
    const double next = r.cwiseProduct(z).sum();
    s = z + (next / rz) * s;
    rz = next;
  }
  return work;
}

bool KernelRidge::factorise(const Vector& eta) {
  const Index n = design_.n_samples(), p = design_.n_patterns();
  const int threads = design_.n_threads();
  Monitor& monitor = design_.monitor();
  RowMatrix K(n, n);
  Eigen::Map<Matrix> symmetric(K.data(), n, n);  // K by columns, which is K
  const Eigen::Map<const WordMatrix> words(design_.pattern(0), p, words_for(n));
  masking_kernel(design_.X(), words, eta, K, threads, monitor);
  K.diagonal().array() += beta_;
  if (!cholesky(symmetric, threads, monitor)) return false;
  alpha_ = Y_;
  solve_lower(symmetric, alpha_, threads, monitor);
  if (unpenalised_.cols() > 0) {
    // With K + beta I = L L' the alpha orthogonal to Z is L'^-1 (I - P) L^-1 Y, P onto the span of L^-1 Z.
    Matrix whitened = unpenalised_;
    solve_lower(symmetric, whitened, threads, monitor);
    const Eigen::HouseholderQR<Matrix> qr(whitened);
    const Matrix Q = qr.householderQ() * Matrix::Identity(n, unpenalised_.cols());
    alpha_ -= Q * (Q.transpose() * alpha_);
  }
  symmetric.triangularView<Eigen::Lower>().transpose().solveInPlace(alpha_);
  project(alpha_);
  return true;
}

}  // namespace cvxrelu
