// The masked design [D_1 X ... D_p X], never formed: D_i = diag of pattern i, X of shape (n, d).
//
// Coefficients and correlations of pattern i are columns vec(W_i), W_i of shape (d, c) for c outputs, of matrices
// with d c rows. The solvers know only the operations below.
//
//     correlations   X' D_i V for many i     n d c m / 4 vector-lane additions for m patterns (bit_product.hpp)
//     fitted         sum_i D_i X W_i         the same
//     gram           X' D_i X                n d^2 / 4 multiply-adds
//
// Memory: X and the packed patterns stay where the caller has them; beside them O(d c p) for results, up to 32
// times that where 4 m <= n (sums over ranges of samples), and for a restriction n m / 4 bytes of bits.
//
// No product's bits depend on the number of threads.
#pragma once

#include <vector>

#include "cvxrelu/base/monitor.hpp"
#include "cvxrelu/base/types.hpp"
#include "cvxrelu/masks/bit_product.hpp"

namespace cvxrelu {

/// Rows of X, each readable for whole vectors: what a row lacks is read from the next one, the last rows from a
/// padded copy. Lanes past column d hold arbitrary finite numbers.
class PaddedRows {
 public:
  explicit PaddedRows(const RowMatrixView& X);
  const double* operator[](Index k) const {
    return k < direct_ ? data_ + k * d_ : tail_.data() + (k - direct_) * width_;
  }
  Index width() const { return width_; }

 private:
  const double* data_;
  Index d_, width_, direct_;
  std::vector<double> tail_;
};

class MaskedDesign {
 public:
  /// Keeps references: `X` and `words` must outlive the design and be contiguous. Long products poll the monitor.
  MaskedDesign(const RowMatrixView& X, const WordMatrixView& words, int n_threads, Monitor& monitor);

  Index n_samples() const { return X_.rows(); }
  Index n_features() const { return X_.cols(); }
  Index n_patterns() const { return words_.rows(); }
  int n_threads() const { return n_threads_; }
  Monitor& monitor() const { return monitor_; }
  const RowMatrixView& X() const { return X_; }
  const PaddedRows& rows() const { return rows_; }
  const Word* pattern(Index i) const { return words_.data() + i * words_.cols(); }

  /// out.col(i) = vec(X' D_i V) for every pattern. V is (n, c), out (d c, p).
  void correlations(const MatrixView& V, Eigen::Ref<Matrix> out) const;

  /// Lane additions of one product with m patterns and c outputs.
  double product_work(Index m, Index c) const {
    return static_cast<double>(n_samples() * n_features() * c) * (static_cast<double>(m) / 4 + 4);
  }

  /// X' D_i X, both triangles; X'X when i < 0.
  void gram(Index i, Eigen::Ref<Matrix> out) const;

  /// Squared Frobenius norm of D_i X.
  double trace(Index i) const;

  /// First R -= D_a X W (skipped when a < 0, R (n, c), W (d, c)), then out = X' D_b R (skipped when b < 0): one pass
  /// over X for the step from one block of a sweep to the next.
  void update_and_correlate(Index a, const double* W, Eigen::Ref<Matrix> R, Index b, Eigen::Ref<Matrix> out) const;

 private:
  RowMatrixView X_;
  WordMatrixView words_;
  PaddedRows rows_;
  Vector squared_norms_;
  int n_threads_;
  Monitor& monitor_;
};

/// The masked design of a few patterns, prepared for many products. S is the precision of the products.
class RestrictedDesign {
 public:
  RestrictedDesign(const MaskedDesign& design, std::vector<Index> patterns);

  const std::vector<Index>& patterns() const { return patterns_; }
  Index size() const { return static_cast<Index>(patterns_.size()); }
  const MaskedDesign& design() const { return design_; }

  /// out.col(a) = vec(X' D_{i_a} V): V (n, c), out (d c, m).
  template <class S>
  void correlations(const MatrixView& V, Eigen::Ref<Matrix> out) const;

  /// out = sum_a D_{i_a} X W_a: W (d c, m), out (n, c).
  template <class S>
  void fitted(const MatrixView& W, Eigen::Ref<Matrix> out) const;

 private:
  const MaskedDesign& design_;
  std::vector<Index> patterns_;
  std::vector<Word> by_pattern_;
  std::vector<std::uint8_t> by_sample_;
};

}  // namespace cvxrelu
