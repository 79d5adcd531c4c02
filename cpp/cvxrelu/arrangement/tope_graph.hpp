// Neighbours among cells: two are neighbours when their patterns differ in one hyperplane alone (and so in all rows
// that give this hyperplane). The graph on the cells is the tope graph of the oriented matroid; the hyperplanes crossed
// at a cell are its facets.
//
// Patterns are found by hashing: the hash is the sum modulo 2 of random numbers of the bits (Zobrist 1970), so that
// crossing a hyperplane changes it by one known number. A filter of some bits a pattern (Bloom 1970), small enough for
// the cache, drops most hashes that are not there; the others are looked up in batches, so that memory is waited for
// once a batch. Each edge is looked for from the cell with bit 1, and where every second cell is opposite to the one
// before, for both edges at once. Time O(1) for each pattern and hyperplane and O(n_words) for each edge; memory 17 to
// 33 bytes a pattern, half of it where patterns are opposite, and 12 an edge.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "cvxrelu/base/cache_lines.hpp"
#include "cvxrelu/base/monitor.hpp"
#include "cvxrelu/base/simd.hpp"
#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

/// Distinct patterns, to be found again.
class PatternTable {
 public:
  /// Of every `step`-th row. Keeps a reference to `words`. Throws std::invalid_argument when two are equal.
  explicit PatternTable(const WordMatrixView& words, Index step = 1);

  std::uint64_t hash(const Word* pattern) const;
  /// The row of a pattern with this hash, or -1.
  std::int64_t find(const Word* pattern, std::uint64_t hash) const;
  /// Whether there may be one: false for all but some percent of those that are not there.
  bool may_have(std::uint64_t hash) const {
    const Word bits = filter_bits(hash);
    return (filter_[(hash >> 12) & filter_mask_] & bits) == bits;
  }
  /// Fetches what `find` reads first.
  void prefetch(std::uint64_t hash) const { __builtin_prefetch(&lines_[line(hash)]); }

 private:
  /// Patterns with hashes that begin alike, and others where that line was full.
  struct alignas(kLineBytes) Line {
    static constexpr int kSize = 5;
    std::array<std::uint64_t, kSize> hashes = {};
    std::array<std::int32_t, kSize> rows = {-1, -1, -1, -1, -1};
  };
  void set_keys();
  std::size_t line(std::uint64_t hash) const { return (hash >> 32) & line_mask_; }
  static Word filter_bits(std::uint64_t hash) { return Word{1} << (hash & 63) | Word{1} << ((hash >> 6) & 63); }

  WordMatrixView words_;
  std::vector<std::uint64_t> keys_;  // of all bytes in all places
  LineVector<Line> lines_;
  std::vector<Word> filter_;
  std::uint64_t line_mask_ = 0, filter_mask_ = 0;
};

struct TopeGraph {
  Index size = 0;
  // Two patterns an edge, the one with bit 1 first, and the first row that gives the hyperplane between them. In
  // increasing order of the first pattern, then in that of the hyperplanes.
  AlignedArray<std::int32_t> edges, crossed;
};

/// `hyperplanes`: masks of the rows that give each, one or more, and none that gives two.
TopeGraph tope_graph(const WordMatrixView& words, const WordMatrixView& hyperplanes, int n_threads, Monitor& monitor);

}  // namespace cvxrelu
