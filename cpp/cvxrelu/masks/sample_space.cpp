#include "cvxrelu/masks/sample_space.hpp"

#include "cvxrelu/algebra/symmetric.hpp"

namespace cvxrelu {

template <class S>
MatrixOf<S> SampleSpace::masks(const std::vector<Index>& groups) const {
  MatrixOf<S> masks(design_.n_samples(), static_cast<Index>(groups.size()));
  for (Index a = 0; a < masks.cols(); ++a) {
    const Word* pattern = design_.pattern(groups[static_cast<std::size_t>(a)]);
    for (Index k = 0; k < masks.rows(); ++k) masks(k, a) = (pattern[k / 64] >> (k % 64)) & 1 ? S(1) : S(0);
  }
  return masks;
}

template <class S>
MatrixOf<S> SampleSpace::images(const std::vector<Index>& groups, const MatrixView& unit) const {
  const Index d = design_.n_features(), m = unit.cols(), c = unit.rows() / d;
  const MatrixOf<S> X = design_.X().template cast<S>(), masks = this->masks<S>(groups);
  MatrixOf<S> images(X.rows(), m * c);
  for (Index o = 0; o < c; ++o) {
    auto output = images.middleCols(o * m, m);
    output.noalias() = X * unit.middleRows(o * d, d).template cast<S>();
    output.array() *= masks.array();
  }
  return images;
}

template <class S>
MatrixOf<S> SampleSpace::sum_of_blocks(const std::vector<Index>& groups, const Vector& eta) {
  const Index n = design_.n_samples();
  if (kernel_.size() == 0) {
    kernel_ = Matrix::Zero(n, n);
    add_outer_product(design_.X(), 1.0, kernel_, design_.n_threads(), design_.monitor());
  }
  MatrixOf<S> sum = MatrixOf<S>::Zero(n, n);
  add_outer_product(masks<S>(groups) * eta.cwiseSqrt().template cast<S>().asDiagonal(), S(1), sum, design_.n_threads(),
                    design_.monitor());
  sum.template triangularView<Eigen::Lower>() = sum.cwiseProduct(kernel_.template cast<S>());
  sum.diagonal().array() += 1;
  return sum;
}

template Matrix SampleSpace::images<double>(const std::vector<Index>&, const MatrixView&) const;
template MatrixOf<float> SampleSpace::images<float>(const std::vector<Index>&, const MatrixView&) const;
template Matrix SampleSpace::sum_of_blocks<double>(const std::vector<Index>&, const Vector&);
template MatrixOf<float> SampleSpace::sum_of_blocks<float>(const std::vector<Index>&, const Vector&);

}  // namespace cvxrelu
