// Matrices in sample space, of shape (n, n), for Newton's method where samples are few: they take the place of systems
// in d times as many unknowns as there are non-zero blocks. Uses that
//
//     sum_a eta_a A_a A_a' = (XX') o (M diag(eta) M'),   A_a = D_a X, M the masks as 0/1 columns.
//
// Cost of a sum: n^2 m flops; of the kernel XX', which is kept: n^2 d. Memory: 2 n^2 + 2 n m doubles.
#pragma once

#include "cvxrelu/masks/masked_design.hpp"

namespace cvxrelu {

class SampleSpace {
 public:
  static constexpr Index kMostSamples = 8000;  // beyond, the matrices alone take more than a gigabyte

  explicit SampleSpace(const MaskedDesign& design) : design_(design) {}

  /// Multiply-adds of a sum over m blocks and its Cholesky factorisation.
  double factorisation_work(Index m) const {
    const double n = static_cast<double>(design_.n_samples());
    return n * n * (n / 3 + static_cast<double>(m));
  }

  /// Lower triangle of I + sum_a eta_a A_a A_a'. S is the precision of the sum.
  template <class S>
  MatrixOf<S> sum_of_blocks(const std::vector<Index>& groups, const Vector& eta);

  /// Columns A_a w_ao, w_a = unit.col(a): shape (n, m c), for one output o after the other.
  template <class S>
  MatrixOf<S> images(const std::vector<Index>& groups, const MatrixView& unit) const;

 private:
  template <class S>
  MatrixOf<S> masks(const std::vector<Index>& groups) const;

  const MaskedDesign& design_;
  Matrix kernel_;  // XX', lower triangle
};

}  // namespace cvxrelu
