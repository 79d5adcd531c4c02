// The rows of a central hyperplane arrangement, made ready for exact enumeration: reduced to columns of full rank,
// scaled by powers of two (which moves no sign), as integers where that is cheap, and with a generic flag of
// functionals.
#pragma once

#include <memory>
#include <vector>

#include "cvxrelu/base/types.hpp"
#include "cvxrelu/exact/exact_minors.hpp"

namespace cvxrelu {

/// How elimination decides what is zero. The integer kinds are fraction-free (Bareiss 1968), so every number in them is
/// a minor, and exact because Hadamard's inequality bounds the minors beforehand.
enum class Arithmetic {
  kSingle,    // minors up to 2^11 in float32: products are exact
  kDouble,    // minors up to 2^25 in float64
  kWide,      // minors up to 2^50 in float64 with error-free products
  kFloating,  // float64 with forward error bounds, and exact minors where they cannot decide
};

struct ArrangementRows {
  /// Entries may be sums of several floats, as integers that float64 does not hold are: then X has the first parts of
  /// all columns, which are the sums rounded, then the second parts, and so on. Throws std::overflow_error when the
  /// rank is above kMaxRank. `allow_integers` false: always kFloating.
  ArrangementRows(const RowMatrixView& X, bool allow_integers, int parts = 1);

  static constexpr int kMaxRank = 62;  // 2^rank is at most the number of cells, which must fit 63 bits

  int n = 0, rank = 0, n_features = 0;
  std::vector<int> columns;          // of X, a basis of the column space
  std::vector<int> column_exponent;  // column k stands for X's column columns[k] times 2^-column_exponent[k]
  int parts = 1;                     // floats that make an entry
  RowMatrix original;                // (n, parts rank) the chosen columns as given
  RowMatrix scaled;                  // (n, rank) with norms in (1/2, 1], or 0; rounded where there are more parts
  RowMatrix rest;                    // (n, (parts - 1) rank) what is to be added to them
  double row_error = 0;              // of rounding a scaled row
  RowMatrix integers;                // (n, rank) integer rows, empty for kFloating
  Arithmetic arithmetic = Arithmetic::kFloating;
  double row_bound = 1;                // largest norm among the rows that elimination works on
  RowMatrix flag;                      // (2 rank, rank) multiples of 2^-53 with norms at most 1; then its perturbation
  std::unique_ptr<ExactMinors> exact;  // rows 0 .. n - 1, then the flag and its perturbation
  std::vector<Word> all, zero;         // masks of the rows that are not zero, and of those that are

 private:
  void choose_columns(const RowMatrixView& X);
  void choose_integers();
};

}  // namespace cvxrelu
