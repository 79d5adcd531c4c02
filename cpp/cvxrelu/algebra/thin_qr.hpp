// QR factorisation of a few columns of length d that come and go: Q orthonormal, R upper triangular, columns joined at
// the end with two rounds of orthogonalisation ("twice is enough", Parlett 1980). O(d k) for the k-th column.
#pragma once

#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

class ThinQr {
 public:
  explicit ThinQr(Index d) : d_(d), Q_(d, d), R_(d, d), work_(d) {}

  Index size() const { return size_; }

  /// Orthonormal, spanning the columns.
  Eigen::Ref<const Matrix> basis() const { return Q_.leftCols(size_); }

  /// Joins sign * column, of unit length; false, and nothing changes, when it depends on the columns there.
  bool append(double sign, const double* column) {
    constexpr double kDependence = 1e-12;  // distance from the span that counts as none
    const Index k = size_;
    if (k == d_) return false;
    auto q = Q_.col(k);
    q = sign * Eigen::Map<const Vector>(column, d_);
    auto r = R_.col(k).head(k);
    r.setZero();
    for (int pass = 0; pass < 2 && k > 0; ++pass) {
      work_.head(k).noalias() = Q_.leftCols(k).transpose() * q;
      q.noalias() -= Q_.leftCols(k) * work_.head(k);
      r += work_.head(k);
    }
    const double norm = q.norm();
    if (!(norm >= kDependence)) return false;
    R_(k, k) = norm;
    q /= norm;
    ++size_;
    return true;
  }

  /// Keeps the first columns.
  void truncate(Index size) { size_ = size; }

  /// Component of the last column's direction in c.
  double last_component(const VectorView& c) const { return Q_.col(size_ - 1).dot(c); }

  /// Components Q'c.
  void project(const VectorView& c, Vector& components) const {
    components.head(size_).noalias() = Q_.leftCols(size_).transpose() * c;
  }

  /// Least squares: x with A x the projection of c, given the components Q'c; x may be the components themselves.
  void solve(const VectorView& components, Vector& x) const {
    x.head(size_) = components.head(size_);
    R_.topLeftCorner(size_, size_).triangularView<Eigen::Upper>().solveInPlace(x.head(size_));
  }

  /// Writes c minus its projection.
  void residual(const VectorView& c, const VectorView& components, Vector& out) {
    out = c;
    if (size_ == 0) return;
    out.noalias() -= Q_.leftCols(size_) * components.head(size_);
    work_.head(size_).noalias() = Q_.leftCols(size_).transpose() * out;
    out.noalias() -= Q_.leftCols(size_) * work_.head(size_);
  }

 private:
  Index d_, size_ = 0;
  Matrix Q_, R_;
  Vector work_;
};

}  // namespace cvxrelu
