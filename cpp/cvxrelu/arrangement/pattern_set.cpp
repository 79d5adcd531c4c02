#include "cvxrelu/arrangement/pattern_set.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/base/parallel.hpp"

namespace cvxrelu {

namespace {

class PatternSet {
 public:
  explicit PatternSet(const WordMatrixView& known) : known_(known) {
    require(known.rows() < std::numeric_limits<std::int32_t>::max(), "there must be fewer than 2^31 patterns");
    std::size_t size = 16;
    for (; size < 2 * static_cast<std::size_t>(known.rows()); size *= 2) --shift_;
    mask_ = size - 1;
    hashes_.assign(size, 0);
    if (known.cols() > 1) rows_.assign(size, -1);
    in_batches(known, 0, known.rows(), [this](Index i, std::uint64_t h) {
      if (h == 0) zeros_.push_back(i);
      std::size_t at = h >> shift_;
      while (hashes_[at] != 0) at = (at + 1) & mask_;
      hashes_[at] = h;
      if (known_.cols() > 1) rows_[at] = static_cast<std::int32_t>(i);
    });
  }

  void find(const WordMatrixView& wanted, bool* found, Index begin, Index end) const {
    in_batches(wanted, begin, end, [&](Index i, std::uint64_t h) {
      found[i] = h == 0 ? std::any_of(zeros_.begin(), zeros_.end(), [&](Index row) { return same(row, wanted, i); })
                        : has(h, wanted, i);
    });
  }

 private:
  /// Calls visit(row, hash), when the line of the table where the hash would be is on its way.
  template <class Visit>
  void in_batches(const WordMatrixView& patterns, Index begin, Index end, const Visit& visit) const {
    constexpr Index kBatch = 32;
    std::array<std::uint64_t, kBatch> hashes;
    for (Index first = begin; first < end; first += kBatch) {
      const Index count = std::min(end - first, kBatch);
      for (Index i = 0; i < count; ++i) {
        const std::uint64_t h = hash(patterns.data() + (first + i) * patterns.cols(), patterns.cols());
        hashes[static_cast<std::size_t>(i)] = h;
        __builtin_prefetch(&hashes_[h >> shift_]);
      }
      for (Index i = 0; i < count; ++i) visit(first + i, hashes[static_cast<std::size_t>(i)]);
    }
  }

  /// Of one word a bijection, as every step is.
  static std::uint64_t hash(const Word* pattern, Index n_words) {
    std::uint64_t h = 0;
    for (Index w = 0; w < n_words; ++w) {
      h ^= pattern[w];
      h = (h ^ (h >> 32)) * 0x9e3779b97f4a7c15u;
    }
    return h;
  }

  bool has(std::uint64_t h, const WordMatrixView& wanted, Index i) const {
    std::size_t at = h >> shift_;
    for (; hashes_[at] != 0; at = (at + 1) & mask_) {
      if (hashes_[at] == h && (known_.cols() == 1 || same(rows_[at], wanted, i))) return true;
    }
    return false;
  }
  bool same(Index row, const WordMatrixView& wanted, Index i) const {
    const Word* pattern = wanted.data() + i * wanted.cols();
    return std::equal(pattern, pattern + wanted.cols(), known_.data() + row * known_.cols());
  }

  WordMatrixView known_;
  std::vector<std::uint64_t> hashes_;  // 0 where there is none
  std::vector<std::int32_t> rows_;     // that have them
  std::vector<Index> zeros_;           // rows with hash 0
  std::size_t mask_ = 0;
  int shift_ = 60;  // to the first bits of a hash
};

}  // namespace

void find_among(const WordMatrixView& known, const WordMatrixView& wanted, bool* found, int n_threads) {
  require(known.cols() == wanted.cols(), "both must have as many words");
  const PatternSet set(known);
  parallel_ranges(wanted.rows(), wanted.rows() < (1 << 16) ? 1 : n_threads, 1,
                  [&](int, Index begin, Index end) { set.find(wanted, found, begin, end); });
}

}  // namespace cvxrelu
