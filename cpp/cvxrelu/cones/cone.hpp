// Projection onto the closed cone of a pattern, K = {u : s_j x_j.u >= 0 for all j}, s_j = +1 where pattern j is active:
//
//     ||P_K(c)|| = min over lambda >= 0 of ||c + B' lambda||,   B with the rows s_j x_j / ||x_j||,
//
// by the active-set method for non-negative least squares (Lawson and Hanson 1974, chapter 23) on a QR factorisation
// that is orthogonalised twice and updated from the first row that leaves. Every lambda >= 0 gives an upper bound on
// ||P_K(c)||, so a projection may stop as soon as its bound is at or below a threshold.
//
// Rows that were ever violated are remembered in a pool for each cone; only when the pool is satisfied are all rows
// looked at. Cost: O(d k) for a step with k <= d active rows, O(n d) for a look at all rows, a few of which suffice.
// A projector that is asked to start from the rows that it ended with keeps their factorisation.
#pragma once

#include <vector>

#include "cvxrelu/algebra/thin_qr.hpp"
#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

/// Rows of X scaled to length one (zero rows stay zero and constrain nothing).
class UnitRows {
 public:
  explicit UnitRows(const RowMatrixView& X);
  Index size() const { return by_row_.rows(); }
  Index dimension() const { return by_row_.cols(); }
  const double* operator[](Index j) const { return by_row_.data() + j * by_row_.cols(); }
  const Matrix& columns() const { return by_column_; }

 private:
  RowMatrix by_row_;
  Matrix by_column_;  // the same rows, for products with all of them
};

inline double sign_of(const Word* pattern, Index j) { return (pattern[j / 64] >> (j % 64) & 1) != 0 ? 1.0 : -1.0; }

/// Rows of a cone that were violated before, with their signs applied.
struct ConePool {
  std::vector<Index> rows;
  std::vector<double> signed_rows;

  /// Applies a change of the sign of row j.
  void turn(Index j) {
    for (std::size_t a = 0; a < rows.size(); ++a) {
      if (rows[a] != j) continue;
      const std::size_t d = signed_rows.size() / rows.size();
      for (std::size_t k = a * d; k < (a + 1) * d; ++k) signed_rows[k] = -signed_rows[k];
    }
  }
};

class ConeProjector {
 public:
  /// Rows to look at: those of the pool, whose cone contains K, or all.
  enum class Check { pool, all };

  explicit ConeProjector(const UnitRows& rows);

  /// Projects c. `support` holds the rows with positive multipliers: those to start from, then those found. Returns
  /// the norm of `point()`, an upper bound on ||P_K(c)|| up to rounding. Stops when that is at most `threshold`.
  double project(const Word* pattern, ConePool& pool, const double* c, double threshold, Check check,
                 std::vector<Index>& support);

  /// c + B' lambda of the last projection: P_K(c) when that was `complete()`.
  const Vector& point() const { return point_; }
  bool complete() const { return complete_; }

  /// The rows with positive multipliers of the last projection, and those.
  const std::vector<Index>& support() const { return support_; }
  Eigen::Ref<const Vector> multipliers() const { return multipliers_.head(size()); }

  /// The factorisation of those rows.
  const ThinQr& normals() const { return qr_; }

  /// ||c + B' lambda|| of the last projection from its multipliers, plus a bound on the rounding errors in it.
  double certified_norm(const double* c) const;

 private:
  Index size() const { return static_cast<Index>(support_.size()); }
  void begin(const std::vector<Index>& support);
  bool append(Index row);
  void truncate(Index length);
  void keep_only(const std::vector<char>& keep);
  void unconstrained(Vector& multipliers) const;
  void drop_nonpositive();
  void advance();
  Index most_violated(ConePool& pool, Check check, double tolerance, const std::vector<Index>& rejected);

  const UnitRows& rows_;
  Index d_;
  const Word* pattern_ = nullptr;
  Eigen::Map<const Vector> c_;
  ThinQr qr_;
  Vector Qc_, multipliers_, trial_, point_, products_;
  std::vector<Index> support_;
  std::vector<double> signs_;  // of the rows in the support, as the factorisation has them
  bool complete_ = false;
};

}  // namespace cvxrelu
