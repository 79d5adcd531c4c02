// Flats of a central arrangement {x_j.u = 0} with more rows than their rank: the places where rows depend on each
// other.
//
// A flat is the set of all rows in the span of some of them. Every flat of rank k + 1 covers exactly one flat F of rank
// k such that its other rows all come after the last element of F's lexicographically first basis, so a depth-first
// search by Gaussian elimination (remainders.hpp) meets every flat once.
//
// Time O(n (r + log n)) for each flat of rank at most r - 2 (or less, if only a lower rank is asked for), memory O(n
// r^2) and what is reported.
#pragma once

#include <vector>

#include "cvxrelu/arrangement/rows.hpp"
#include "cvxrelu/base/monitor.hpp"

namespace cvxrelu {

struct Flats {
  std::vector<std::vector<Word>> rows;  // masks
  std::vector<std::vector<int>> bases;
};

/// The flats of some rank, 1 to r - 1.
Flats flats_of_rank(const ArrangementRows& rows, int rank, Monitor& monitor);

/// The flats of rank 1 to r - 1 that have more rows than their rank, but for those whose rows all have bit 1 in one of
/// the `known` patterns. Rows that are zero are in none.
Flats dependent_flats(const ArrangementRows& rows, const WordMatrixView& known, Monitor& monitor);

}  // namespace cvxrelu
