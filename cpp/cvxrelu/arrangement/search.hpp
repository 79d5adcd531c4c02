// Cells of a central arrangement from its no-broken-circuit (NBC) sets; no linear program, no look-up, any degeneracy.
//
// A broken circuit is a circuit of the rows' matroid without its smallest element; an NBC set contains none. Fix a
// generic flag of functionals g_0, g_1, ... Each NBC set S = {s_1 < ... < s_k} with k = r - 1 - 2m gives exactly one
// antipodal pair of cells: with v the ray orthogonal to S and g_0, ..., g_{2m-1}, and
// omega = g_{2m}(v) g_{2m+1} - g_{2m+1}(v) g_{2m} = sum_l lambda_l a_{s_l} modulo the functionals already used,
//   sign(a_j . cell) = sign(a_j.v)                            for j outside the span of S,
//                    = sign(lambda_l)                         for j = s_l,
//                    = sign(c_{j,l*}) sign(lambda_{l*})       for other j = sum_l c_{j,l} s_l, l* the first c_{j,l} !=
//                    0.
// (A half-hyperplane that turns around {g_{2m} = g_{2m+1} = 0} enters every cell that misses this axis once, at a ray.)
//
// Depth first through S in decreasing order with Gauss-Jordan elimination of all rows; the last element is not
// eliminated but a vector loop over the two null columns that are left. Time: O(r n) for each NBC set with fewer than
// r - 1 elements and O(n) for each cell, but for large n only O(n / 64) and what is near its ray
// (walk.hpp); memory O(r^2 n).
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "cvxrelu/arrangement/rows.hpp"
#include "cvxrelu/base/cache_lines.hpp"
#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

struct SearchCounts {
  std::int64_t pairs = 0;             // antipodal pairs of cells
  std::int64_t verified = 0;          // pairs whose gate was checked to lie strictly inside
  std::int64_t repaired = 0;          // of these, gates found in arithmetic of 128 bits
  std::int64_t exact_decisions = 0;   // ranks and signs taken from exact minors
  std::int64_t exact_gate_signs = 0;  // signs of gates taken from exact dot products
  // NBC sets by size: all of them for sizes r - 1, r - 3, ..., those without the first hyperplane for r - 2, r - 4, ...
  std::array<std::int64_t, ArrangementRows::kMaxRank> sets{};

  void operator+=(const SearchCounts& other) {
    pairs += other.pairs;
    verified += other.verified;
    repaired += other.repaired;
    exact_decisions += other.exact_decisions;
    exact_gate_signs += other.exact_gate_signs;
    for (std::size_t k = 0; k < sets.size(); ++k) sets[k] += other.sets[k];
  }
};

/// Where cells go: two rows for each pair, the second its antipode, or one row of an affine arrangement. Null pointers:
/// not wanted.
struct CellOutput {
  Word* words = nullptr;    // words_for(n) a row; of an affine arrangement words_for(n - 1)
  double* gates = nullptr;  // n_features a row; of an affine arrangement one less
  std::int64_t pairs = 0;   // of cells that there is room for
};

/// A part of the search: the cells of the NBC sets that begin, in decreasing order, with the given elements.
struct SearchTask {
  std::vector<int> prefix;
  bool subtree = true;  // else only the cells that the prefix and one more element give
};

/// Thrown by a search that is told to stop.
struct SearchStopped {};

class alignas(kLineBytes) CellSearch {
 public:
  virtual ~CellSearch() = default;
  /// Returns the number of pairs found. `counts` goes on while it runs.
  virtual std::int64_t run(const SearchTask& task, CellOutput output) = 0;
  /// Whether the row can be in an NBC set at all: no earlier row is parallel to it.
  virtual bool is_candidate(int row) = 0;
  SearchCounts counts;
};

struct SearchSettings {
  double tol = 0;  // 0: exact; else values below tol (rows and vectors of norm one) count as zero
  bool check_gates = true;
  // The last row is (0, ..., 0, 1), the hyperplane at infinity t = 0 of the cone over an affine arrangement, and must
  // not vanish on the subspace below. Of each pair of cells the one with t > 0 is written: its mask without the last
  // row, and for its gate (u, t) the point u / t.
  bool affine = false;
  std::vector<Word> skip;  // rows known to be no candidates; may be empty
  // Independent rows: the cells are those of the arrangement that the others cut out of the subspace where these
  // vanish. Rows that vanish there have bit 1.
  std::vector<int> contracted;
};

/// Called every few microseconds of work, with the number of pairs that the search has found so far; may throw. Work
/// that takes up to milliseconds has a higher cost.
class Pulse {
 public:
  virtual ~Pulse() = default;
  virtual void beat(std::int64_t pairs, unsigned cost) = 0;
};

std::unique_ptr<CellSearch> make_search(const ArrangementRows& rows, const SearchSettings& settings, Pulse& pulse);

}  // namespace cvxrelu
