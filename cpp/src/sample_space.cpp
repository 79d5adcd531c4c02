#include "cvxrelu/sample_space.hpp"

#include "cvxrelu/symmetric.hpp"

namespace cvxrelu {

Matrix SampleSpace::masks(const std::vector<Index>& groups) const {
  Matrix masks(design_.n_samples(), static_cast<Index>(groups.size()));
  for (Index a = 0; a < masks.cols(); ++a) {
    const Word* pattern = design_.pattern(groups[static_cast<std::size_t>(a)]);
    for (Index k = 0; k < masks.rows(); ++k) masks(k, a) = (pattern[k / 64] >> (k % 64)) & 1 ? 1.0 : 0.0;
  }
  return masks;
}

Matrix SampleSpace::images(const std::vector<Index>& groups, const MatrixView& unit) const {
  return (design_.X() * unit).cwiseProduct(masks(groups));
}

Matrix SampleSpace::sum_of_blocks(const std::vector<Index>& groups, const Vector& eta) {
  const Index n = design_.n_samples();
  if (kernel_.size() == 0) {
    kernel_ = Matrix::Zero(n, n);
    add_outer_product(design_.X(), 1.0, kernel_, design_.n_threads(), design_.monitor());
  }
  Matrix S = Matrix::Zero(n, n);
  add_outer_product(masks(groups) * eta.cwiseSqrt().asDiagonal(), 1.0, S, design_.n_threads(), design_.monitor());
  S.triangularView<Eigen::Lower>() = S.cwiseProduct(kernel_);
  S.diagonal().array() += 1;
  return S;
}

}  // namespace cvxrelu
