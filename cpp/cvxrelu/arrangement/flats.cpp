#include "cvxrelu/arrangement/flats.hpp"

#include "cvxrelu/arrangement/remainders.hpp"
#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/masks/bits.hpp"

namespace cvxrelu {

namespace {

class FlatSearch {
 public:
  /// `rank` 0: dependent flats of any rank, not within a known pattern.
  FlatSearch(const ArrangementRows& rows, const WordMatrixView& known, int rank, Monitor& monitor)
      : known_(known),
        wanted_(static_cast<std::size_t>(rank)),
        monitor_(monitor),
        remainders_(rows),
        r_(static_cast<std::size_t>(rows.rank)),
        flat_(rows.all.size(), 0) {}

  Flats run() {
    if (r_ > 1) descend();
    return std::move(found_);
  }

 private:
  using Lines = std::vector<Remainders::Keyed>;

  void descend() {
    monitor_.poll();
    const std::size_t k = basis_.size();
    const Lines lines = remainders_.covers(k, flat_);
    const int last = basis_.empty() ? -1 : basis_.back();
    for (std::size_t begin = 0, end = 0; begin < lines.size(); begin = end) {
      while (end < lines.size() && lines[end].key == lines[begin].key) ++end;
      const int first = lines[begin].row;
      if (first <= last) continue;
      const std::vector<Word> outer = flat_;
      for (std::size_t i = begin; i < end; ++i) set(lines[i].row);
      basis_.push_back(first);
      if (wanted_ > 0 ? k + 1 == wanted_ : count() > k + 1 && !inside_known()) report(lines, begin + 1, end);
      if (k + 2 < r_ && (wanted_ == 0 || k + 1 < wanted_)) {
        remainders_.eliminate(k, first);
        descend();
      }
      basis_.pop_back();
      flat_ = outer;
    }
  }

  void report(const Lines& lines, std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) remainders_.check(basis_, lines[i].row);
    found_.rows.push_back(flat_);
    found_.bases.push_back(basis_);
  }

  bool inside_known() const {
    for (Index i = 0; i < known_.rows(); ++i) {
      const Word* pattern = known_.data() + i * known_.cols();
      bool inside = true;
      for (std::size_t w = 0; w < flat_.size() && inside; ++w) inside = (flat_[w] & ~pattern[w]) == 0;
      if (inside) return true;
    }
    return false;
  }

  void set(int row) { flat_[static_cast<std::size_t>(row / 64)] |= Word{1} << (row % 64); }
  std::size_t count() const {
    std::size_t total = 0;
    for (const Word word : flat_) total += static_cast<std::size_t>(__builtin_popcountll(word));
    return total;
  }

  const WordMatrixView& known_;
  const std::size_t wanted_;
  Monitor& monitor_;
  Remainders remainders_;  // by rank of the flat
  const std::size_t r_;
  std::vector<Word> flat_;
  std::vector<int> basis_;
  Flats found_;
};

}  // namespace

Flats dependent_flats(const ArrangementRows& rows, const WordMatrixView& known, Monitor& monitor) {
  require(known.cols() == static_cast<Index>(rows.all.size()), "known must be (n_patterns, ceil(n_samples / 64))");
  if (rows.rank == 0) return {};
  return FlatSearch(rows, known, 0, monitor).run();
}

Flats flats_of_rank(const ArrangementRows& rows, int rank, Monitor& monitor) {
  require(0 < rank && rank < rows.rank, "the rank of flats must be from 1 to that of X, less one");
  return FlatSearch(rows, WordMatrix(), rank, monitor).run();
}

}  // namespace cvxrelu
