#include "cvxrelu/arrangement/flats.hpp"

#include <algorithm>
#include <random>
#include <stdexcept>

#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/exact/prime_field.hpp"
#include "cvxrelu/masks/bits.hpp"

namespace cvxrelu {

namespace {

using U64 = PrimeField::U64;

class FlatSearch {
 public:
  /// `rank` 0: dependent flats of any rank, not within a known pattern.
  FlatSearch(const ArrangementRows& rows, const WordMatrixView& known, int rank, Monitor& monitor)
      : rows_(rows),
        known_(known),
        wanted_(static_cast<std::size_t>(rank)),
        monitor_(monitor),
        field_(rows.exact->first_prime()),
        n_(static_cast<std::size_t>(rows.n)),
        r_(static_cast<std::size_t>(rows.rank)),
        flat_(rows.all.size(), 0) {
    remainders_.assign(r_, std::vector<U64>(n_ * r_));
    for (std::size_t j = 0; j < n_; ++j) {
      std::copy_n(rows.exact->first_residues(static_cast<Index>(j)), r_, remainders_[0].data() + j * r_);
    }
    std::mt19937_64 random(1912);
    for (auto* functional : {&above_, &below_}) {
      for (std::size_t q = 0; q < r_; ++q) functional->push_back(random() % field_.modulus());
    }
  }

  Flats run() {
    if (r_ > 1) descend();
    return std::move(found_);
  }

 private:
  struct Keyed {
    U64 key;
    int row;
    bool operator<(const Keyed& other) const { return key != other.key ? key < other.key : row < other.row; }
  };

  void descend() {
    monitor_.poll();
    const std::size_t k = basis_.size();
    const std::vector<Keyed> lines = remainder_lines(k);
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
        eliminate(k, first);
        descend();
      }
      basis_.pop_back();
      flat_ = outer;
    }
  }

  /// The rows outside the flat, sorted by the line that their remainder spans.
  std::vector<Keyed> remainder_lines(std::size_t k) {
    std::vector<Keyed> lines;
    std::vector<U64> numerators, denominators, products = {field_.enter(1)};
    for (std::size_t j = 0; j < n_; ++j) {
      if (((flat_[j / 64] | rows_.zero[j / 64]) >> (j % 64)) & 1) continue;
      const U64* x = remainders_[k].data() + j * r_;
      lines.push_back({0, static_cast<int>(j)});
      numerators.push_back(apply(above_, x));
      denominators.push_back(apply(below_, x));
      if (denominators.back() == 0) throw std::runtime_error("an unlucky prime for X: rescale its columns");
      products.push_back(field_.multiply(products.back(), denominators.back()));
    }
    U64 inverse = field_.invert(products.back());  // of all denominators so far, from the last one down
    for (std::size_t i = lines.size(); i-- > 0;) {
      lines[i].key = field_.multiply(numerators[i], field_.multiply(inverse, products[i]));
      inverse = field_.multiply(inverse, denominators[i]);
    }
    std::sort(lines.begin(), lines.end());
    return lines;
  }

  U64 apply(const std::vector<U64>& functional, const U64* x) const {
    U64 sum = 0;
    for (std::size_t q = 0; q < r_; ++q) sum = field_.subtract(sum, field_.multiply(functional[q], x[q]));
    return sum;
  }

  void eliminate(std::size_t k, int row) {
    const auto& from = remainders_[k];
    auto& to = remainders_[k + 1];
    const U64* top = from.data() + static_cast<std::size_t>(row) * r_;
    const auto pivot = static_cast<std::size_t>(std::find_if(top, top + r_, [](U64 x) { return x != 0; }) - top);
    const U64 inverse = field_.invert(top[pivot]);
    for (std::size_t j = 0; j < n_; ++j) {
      const U64* in = from.data() + j * r_;
      U64* out = to.data() + j * r_;
      const U64 factor = field_.multiply(in[pivot], inverse);
      for (std::size_t q = 0; q < r_; ++q) out[q] = field_.subtract(in[q], field_.multiply(factor, top[q]));
    }
  }

  void report(const std::vector<Keyed>& lines, std::size_t begin, std::size_t end) {
    std::vector<int> members = basis_;
    for (std::size_t i = begin; i < end; ++i) {
      members.push_back(lines[i].row);
      if (rows_.exact->independent(members)) throw std::runtime_error("an unlucky prime for X: rescale its columns");
      members.pop_back();
    }
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

  const ArrangementRows& rows_;
  const WordMatrixView& known_;
  const std::size_t wanted_;
  Monitor& monitor_;
  const PrimeField field_;
  const std::size_t n_, r_;
  std::vector<std::vector<U64>> remainders_;  // by rank of the flat: rows modulo its span
  std::vector<U64> above_, below_;
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
