#include "cvxrelu/cones/cone_hessian.hpp"

#include <algorithm>
#include <cmath>

#include "cvxrelu/algebra/symmetric.hpp"
#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/masks/bits.hpp"

namespace cvxrelu {

namespace {

constexpr double kFactorRate = 8;  // multiply-adds of a float32 factorisation in the time of one of a product with H
constexpr Index kLeastPatience = 2, kMostPatience = 30;
constexpr Index kMostSingle = 40, kMostDouble = 100;  // iterations with a new factor

// column *= pattern.
template <class S>
void mask_column(const Word* pattern, Index n, S* column) {
  for (Index w = 0; w < words_for(n); ++w) {
    const Word bits = pattern[w];
    const Index count = std::min<Index>(64, n - 64 * w);
    S* target = column + 64 * w;
    for (Index j = 0; j < count; ++j) target[j] = (bits >> j & 1) != 0 ? target[j] : S(0);
  }
}

// Columns radial, then an orthonormal basis of what is orthogonal to it and to the normals: unit vectors farthest from
// the span so far, orthogonalised twice.
void face_basis(const ConeFace& face, Matrix& spanned, Eigen::Ref<Matrix> basis) {
  const Index d = basis.rows(), free = basis.cols(), w = d - free;
  spanned.leftCols(w) = face.normals->basis().leftCols(w);
  spanned.col(w) = face.radial;
  Vector left = (1 - spanned.leftCols(w + 1).rowwise().squaredNorm().array()).matrix();
  Vector parts(d);
  for (Index k = w + 1; k < d; ++k) {
    Index farthest = 0;
    left.maxCoeff(&farthest);
    auto next = spanned.col(k);
    const auto before = spanned.leftCols(k);
    next.noalias() = -before * before.row(farthest).transpose();
    next[farthest] += 1;
    parts.head(k).noalias() = before.transpose() * next;
    next.noalias() -= before * parts.head(k);
    next.normalize();
    left -= next.cwiseAbs2();
  }
  basis = spanned.rightCols(free);
}

Index free_directions(const ConeFace& face, Index d) { return d - std::min(face.normals->size(), d - 1); }

}  // namespace

void ConeHessian::set(const RestrictedDesign& design, std::vector<ConeFace> faces, double sigma) {
  design_ = &design;
  faces_ = std::move(faces);
  sigma_ = sigma;
  columns_ = unpenalised();
  for (const ConeFace& face : faces_) columns_ += free_directions(face, list_.X().cols());
}

Vector ConeHessian::product(const Vector& x) {
  if (roots_.size() == 0) return blocks_product(x) + x;
  return roots_.cwiseProduct(blocks_product(roots_.cwiseProduct(x))) + x;
}

Vector ConeHessian::blocks_product(const Vector& x) {
  const Index d = list_.X().cols();
  correlations_.resize(d, design_->size());
  coefficients_.setZero(d, design_->size());
  design_->correlations<double>(x, correlations_);
  Vector inside(d), parts(d);
  for (const ConeFace& face : faces_) {
    const auto normals = face.normals->basis();
    inside = correlations_.col(face.position);
    parts.head(normals.cols()).noalias() = normals.transpose() * inside;
    inside.noalias() -= normals * parts.head(normals.cols());
    const double along = face.radial.dot(inside);
    coefficients_.col(face.position) += sigma_ * (face.shrink * inside + (1 - face.shrink) * along * face.radial);
  }
  Vector result(x.size());
  design_->fitted<double>(coefficients_, result);
  if (unpenalised() > 0) result += *Z_ * (tau_ * (Z_->transpose() * x));
  return result;
}

template <class S>
void ConeHessian::form_columns(Factor<S>& factor) const {
  const Index d = list_.X().cols();
  if (factor.X.size() == 0) factor.X = list_.X().template cast<S>();
  Matrix spanned(d, d), basis(d, d);
  const Index in_cones = columns_ - unpenalised();
  MatrixOf<S> directions(d, in_cones);
  Index column = 0;
  for (const ConeFace& face : faces_) {
    const Index free = free_directions(face, d);
    face_basis(face, spanned, basis.leftCols(free));
    basis.leftCols(free) *= std::sqrt(sigma_);
    basis.middleCols(1, free - 1) *= std::sqrt(face.shrink);
    directions.middleCols(column, free) = basis.leftCols(free).template cast<S>();
    column += free;
  }
  factor.V.resize(factor.X.rows(), columns_);
  factor.V.leftCols(in_cones).noalias() = factor.X * directions;
  column = 0;
  for (const ConeFace& face : faces_) {
    const Word* pattern = list_.pattern(design_->patterns()[static_cast<std::size_t>(face.position)]);
    for (const Index end = column + free_directions(face, d); column < end; ++column)
      mask_column(pattern, factor.V.rows(), factor.V.col(column).data());
  }
  if (unpenalised() > 0) factor.V.rightCols(unpenalised()) = (std::sqrt(tau_) * *Z_).template cast<S>();
  if (roots_.size() > 0) factor.V = roots_.template cast<S>().asDiagonal() * factor.V;
}

template <class S>
bool ConeHessian::factorise(Factor<S>& factor) {
  form_columns(factor);
  const Index n = factor.V.rows(), size = std::min(n, columns_);
  factor.L.setIdentity(size, size);
  if (columns_ < n)
    add_inner_product(factor.V, S(1), factor.L, list_.n_threads(), list_.monitor());
  else
    add_outer_product(factor.V, S(1), factor.L, list_.n_threads(), list_.monitor());
  factor.valid = cholesky(factor.L, list_.n_threads(), list_.monitor());
  return factor.valid;
}

template <class S>
Vector ConeHessian::apply_inverse(const Factor<S>& factor, const Vector& x) {
  using VectorOf = Eigen::Matrix<S, Eigen::Dynamic, 1>;
  const VectorOf given = x.template cast<S>();
  const bool by_column = factor.V.cols() < factor.V.rows();
  VectorOf solution = given;
  if (by_column) solution = factor.V.transpose() * given;
  factor.L.template triangularView<Eigen::Lower>().solveInPlace(solution);
  factor.L.transpose().template triangularView<Eigen::Upper>().solveInPlace(solution);
  if (by_column) return (given - factor.V * solution).template cast<double>();
  return solution.template cast<double>();
}

Vector ConeHessian::precondition(const Vector& x) const {
  return double_.valid ? apply_inverse(double_, x) : apply_inverse(single_, x);
}

// Conjugate gradients from x, whose residual is given; whether the target is reached.
bool ConeHessian::iterate(Vector& x, Vector& residual, double target, Index most) {
  Vector direction;
  double before = 0;
  for (Index k = 0; residual.norm() > target; ++k) {
    if (k == most) return false;
    const Vector conditioned = precondition(residual);
    const double size = residual.dot(conditioned);
    if (!(size > 0)) return false;
    direction = k == 0 ? conditioned : Vector(conditioned + size / before * direction);
    before = size;
    const Vector image = product(direction);
    const double curvature = direction.dot(image);
    if (!(curvature > 0)) return false;
    const double step = size / curvature;
    x += step * direction;
    residual -= step * image;
  }
  return true;
}

// Iterations in the time of a factorisation.
Index ConeHessian::patience() const {
  const auto n = static_cast<double>(list_.X().rows()), d = static_cast<double>(list_.X().cols());
  const auto m = static_cast<double>(design_->size()), faces = static_cast<double>(faces_.size());
  const double k = static_cast<double>(columns_), least = std::min(n, k);
  const double factorisation = n * k * least / 2 + n * d * k + least * least * least / 6;
  const double with_factor = (k < n ? 2 * n * k : 0) + least * least;
  const double iteration = 2 * n * d * (m / 4 + 4) + 4 * d * d * faces + with_factor;
  return std::clamp(static_cast<Index>(factorisation / (kFactorRate * iteration)), kLeastPatience, kMostPatience);
}

Vector ConeHessian::solve(const VectorView& b, double tolerance) {
  Vector x = Vector::Zero(b.size()), residual = b;
  const double target = tolerance * b.norm();
  const bool stale = single_.valid || double_.valid;
  if (stale && iterate(x, residual, target, patience())) return x;
  double_.valid = false;
  if (factorise(single_) && iterate(x, residual, target, kMostSingle)) return x;
  single_.valid = false;
  require(factorise(double_), "a Newton system is not positive definite");
  iterate(x, residual, target, kMostDouble);
  return x;
}

}  // namespace cvxrelu
