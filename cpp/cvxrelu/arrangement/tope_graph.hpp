// Neighbours among cells: two are neighbours when their patterns differ in one hyperplane alone (and so in all rows
// that give this hyperplane). The graph on the cells is the tope graph of the oriented matroid; the hyperplanes crossed
// at a cell are its facets.
//
// Patterns are found by hashing: the hash is the sum modulo 2 of random numbers of the bits (Zobrist 1970), so that
// crossing a hyperplane changes it by one known number. Each edge is looked for from the cell with bit 1. A filter of
// some bits a pattern (Bloom 1970), small enough for the cache, drops most hashes that are not there; the others are
// looked up in batches, so that memory is waited for once a batch. Time O(1) for each pattern and hyperplane and
// O(n_words) for each edge; memory 18 to 36 bytes a pattern and 12 an edge.
#pragma once

#include <cstdint>
#include <vector>

#include "cvxrelu/base/monitor.hpp"
#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

/// Distinct patterns, to be found again.
class PatternTable {
 public:
  /// Keeps a reference to `words`. Throws std::invalid_argument when two are equal.
  explicit PatternTable(const WordMatrixView& words);

  std::uint64_t hash(const Word* pattern) const;
  /// The row of a pattern with this hash, or -1.
  std::int64_t find(const Word* pattern, std::uint64_t hash) const;
  /// Whether there may be one: false for all but some percent of those that are not there.
  bool may_have(std::uint64_t hash) const { return (filter_[(hash >> 6) & filter_mask_] >> (hash & 63)) & 1; }
  /// Fetches what `find` reads first, and when that is there what it reads then.
  void prefetch(std::uint64_t hash) const { __builtin_prefetch(slots_.data() + slot(hash)); }
  void prefetch_pattern(std::uint64_t hash) const {
    const std::uint32_t row = slots_[slot(hash)].row;
    if (row != 0) __builtin_prefetch(words_.data() + static_cast<Index>(row - 1) * words_.cols());
  }

 private:
  struct Slot {
    std::uint32_t tag = 0, row = 0;  // lower bits of the hash; one more than the row
  };
  static std::uint32_t tag(std::uint64_t hash) { return static_cast<std::uint32_t>(hash); }
  std::uint64_t slot(std::uint64_t hash) const { return (hash >> 32) & mask_; }

  WordMatrixView words_;
  std::vector<std::uint64_t> keys_;  // of all bytes in all places
  std::vector<Slot> slots_;
  std::vector<Word> filter_;
  std::uint64_t mask_ = 0, filter_mask_ = 0;
};

struct TopeGraph {
  std::vector<std::int32_t> from, to, hyperplane;  // in increasing order of the first and the last; bit 1 in `from`
};

/// `hyperplanes`: masks of the rows that give each, one or more.
TopeGraph tope_graph(const WordMatrixView& words, const WordMatrixView& hyperplanes, int n_threads, Monitor& monitor);

}  // namespace cvxrelu
