// Signs and ranks of small determinants, certain for any float64 input.
//
// Rows are given as sums of floats times powers of two, so every row is a positive multiple of an integer row. A minor
// of integer rows is bounded by Hadamard's inequality; it is computed modulo as many 62-bit primes as that bound needs,
// so zero means zero, and the sign is read off the mixed-radix digits (Garner 1959). No division by numbers that a
// prime could divide takes place: a determinant modulo p is right whatever p is.
//
// Cost: O(r^3) modular products for each prime; some r (bits of a row) / 61 primes. Memory n r primes words.
#pragma once

#include <vector>

#include "cvxrelu/base/types.hpp"
#include "cvxrelu/exact/prime_field.hpp"

namespace cvxrelu {

class ExactMinors {
 public:
  /// The first rows are X(j, k) 2^-column_exponent[k], scaled to integers; the rows of `more` follow. Behind as many
  /// columns as there are exponents X may have more of them in turn: what is to be added to the entries before.
  ExactMinors(const RowMatrixView& X, const std::vector<int>& column_exponent, const RowMatrixView& more);

  /// Sign of the determinant of as many rows as there are columns.
  int determinant_sign(const std::vector<int>& rows) const;
  /// Whether the rows are linearly independent.
  bool independent(const std::vector<int>& rows) const;
  /// Columns that are a basis of the column space, chosen greedily in the given order.
  std::vector<int> basis_columns(const std::vector<int>& order) const;

  using Word = std::uint64_t;
  /// The first of the primes, and a row modulo it in the form of PrimeField. A minor that is zero vanishes there, too.
  Word first_prime() const { return primes_.front(); }
  const Word* first_residues(Index row) const { return residues(0, row); }

 private:
  static constexpr Index kMostColumns = 64;

  /// Part of an entry: mantissa 2^exponent, below 2^end.
  struct Term {
    Index at;
    std::int64_t mantissa;
    int exponent, end;
  };

  void choose_primes();
  void take_residues(const std::vector<Term>& terms);
  std::size_t primes_for(double bits) const;
  double bits(const std::vector<int>& rows) const;
  void gather(std::size_t prime, const std::vector<int>& rows, Word* a) const;
  const Word* residues(std::size_t prime, Index row) const { return residues_[prime].data() + row * n_columns_; }

  Index n_rows_, n_columns_;
  std::vector<double> bits_;
  std::vector<Word> primes_;
  std::vector<PrimeField> fields_;
  std::vector<std::vector<Word>> radix_;     // products of the primes before each of the earlier ones; inverse of all
  std::vector<std::vector<Word>> residues_;  // by prime, in Montgomery form
};

}  // namespace cvxrelu
