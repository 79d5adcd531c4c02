// The rows of an arrangement modulo the spans of flats, and the flats that cover one.
//
// Two rows lie on the same cover of a flat when their remainders are parallel, which is seen on one key a row, the
// quotient of two random functionals. All is modulo a 62-bit prime, where nothing that depends is missed; who reports a
// flat checks it with exact minors (`check`). Time O(n r) for each elimination and O(n (r + log n)) for the covers.
#pragma once

#include <vector>

#include "cvxrelu/arrangement/rows.hpp"
#include "cvxrelu/exact/prime_field.hpp"

namespace cvxrelu {

class Remainders {
 public:
  struct Keyed {
    std::uint64_t key;
    int row;
    bool operator<(const Keyed& other) const { return key != other.key ? key < other.key : row < other.row; }
  };

  explicit Remainders(const ArrangementRows& rows);

  /// From the remainders modulo `level` rows to those modulo one more.
  void eliminate(std::size_t level, int row);
  /// The rows outside a flat, modulo which the remainders of this level are, sorted by the cover that they lie on: rows
  /// of one cover have equal keys.
  std::vector<Keyed> covers(std::size_t level, const std::vector<Word>& flat) const;
  /// Throws unless a row lies exactly in the span of the independent rows of `basis`. Leaves `basis` as it was.
  void check(std::vector<int>& basis, int row) const;

 private:
  std::uint64_t apply(const std::vector<std::uint64_t>& functional, const std::uint64_t* x) const;

  const ArrangementRows& rows_;
  const PrimeField field_;
  const std::size_t n_, r_;
  std::vector<std::vector<std::uint64_t>> levels_;
  std::vector<std::uint64_t> above_, below_;
};

}  // namespace cvxrelu
