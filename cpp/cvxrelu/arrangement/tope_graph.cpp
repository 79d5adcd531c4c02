#include "cvxrelu/arrangement/tope_graph.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>

#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/base/parallel.hpp"

namespace cvxrelu {

PatternTable::PatternTable(const WordMatrixView& words, Index step) : words_(words) {
  require(words.rows() < std::numeric_limits<std::int32_t>::max(), "there must be fewer than 2^31 patterns");
  set_keys();
  const Index count = (words.rows() + step - 1) / step;
  std::size_t size = 4;
  while (4 * size < static_cast<std::size_t>(count)) size *= 2;
  lines_.resize(size);
  line_mask_ = size - 1;
  filter_.resize(size / 4);  // 4 to 8 bits a pattern
  filter_mask_ = filter_.size() - 1;
  constexpr Index kBatch = 32;
  std::array<std::uint64_t, kBatch> hashes;
  for (Index first = 0; first < count; first += kBatch) {
    const Index last = std::min(count, first + kBatch);
    for (Index i = first; i < last; ++i) {
      const std::uint64_t h = hashes[static_cast<std::size_t>(i - first)] =
          hash(words.data() + i * step * words.cols());
      prefetch(h);
      filter_[(h >> 12) & filter_mask_] |= filter_bits(h);
    }
    for (Index i = first; i < last; ++i) {
      const std::uint64_t h = hashes[static_cast<std::size_t>(i - first)];
      require(find(words.data() + i * step * words.cols(), h) < 0, "patterns must be distinct");
      std::size_t at = line(h);
      const auto free = [&] { return std::find(lines_[at].rows.begin(), lines_[at].rows.end(), -1); };
      while (free() == lines_[at].rows.end()) at = (at + 1) & line_mask_;
      lines_[at].hashes[static_cast<std::size_t>(free() - lines_[at].rows.begin())] = h;
      *free() = static_cast<std::int32_t>(i * step);
    }
  }
}

/// The bits of a word get the rows of a product of two triangular matrices modulo 2, which is regular: no two words
/// have the same sum.
void PatternTable::set_keys() {
  std::mt19937_64 random(1970);
  keys_.assign(static_cast<std::size_t>(8 * words_.cols() * 256), 0);
  std::uint64_t* keys = keys_.data();
  for (Index place = 0; place < words_.cols(); ++place) {
    std::array<std::uint64_t, 64> rows;
    for (std::size_t k = 0; k < 64; ++k) rows[k] = Word{1} << k | (random() & ((Word{1} << k) - 1));
    for (std::size_t k = 0; k < 64; ++k) {
      std::uint64_t key = rows[k];
      for (std::size_t l = k + 1, chosen = random(); l < 64; ++l) key ^= (chosen >> l) & 1 ? rows[l] : 0;
      for (std::size_t bit = std::size_t{1} << (k % 8), byte = 0; byte < bit; ++byte)
        keys[bit + byte] = keys[byte] ^ key;
      if (k % 8 == 7) keys += 256;
    }
  }
}

std::uint64_t PatternTable::hash(const Word* pattern) const {
  std::uint64_t h = 0;
  const std::uint64_t* keys = keys_.data();
  for (Index w = 0; w < words_.cols(); ++w) {
    Word rest = pattern[w];
    for (int byte = 0; byte < 8; ++byte, rest >>= 8, keys += 256) h ^= keys[rest & 255];
  }
  return h;
}

std::int64_t PatternTable::find(const Word* pattern, std::uint64_t hash) const {
  for (std::size_t at = line(hash);; at = (at + 1) & line_mask_) {
    const Line& line = lines_[at];
    unsigned same = 0;
    for (std::size_t k = 0; k < Line::kSize; ++k) same |= unsigned{line.hashes[k] == hash} << k;
    for (; same != 0; same &= same - 1) {
      const std::int32_t row = line.rows[static_cast<std::size_t>(__builtin_ctz(same))];
      if (row < 0) continue;
      // One word is told by its hash alone.
      if (words_.cols() == 1 || std::equal(pattern, pattern + words_.cols(), words_.data() + row * words_.cols())) {
        return row;
      }
    }
    if (line.rows.back() < 0) return -1;
  }
}

namespace {

bool has_bit(const Word* pattern, int row) { return (pattern[row / 64] >> (row % 64)) & 1; }

/// The hyperplanes, and what crossing each means to a table of patterns.
struct Crossings {
  Index n_words;
  std::vector<Word> masks;  // what a pattern that the table has differs by from its neighbour there, or its opposite
  std::vector<int> rows;    // the first that gives the hyperplane
  std::vector<std::uint64_t> changes;  // of the hash
  // Where patterns come in opposite pairs, the hyperplane on whose positive side the first of each is, and -1
  // elsewhere. The table has the first ones then: beyond this hyperplane is one that it does not have, but the opposite
  // of.
  int first = -1;

  Crossings(const WordMatrixView& words, const WordMatrixView& hyperplanes) : n_words(words.cols()) {
    require(hyperplanes.cols() == n_words, "hyperplanes must have as many words as the patterns");
    masks.assign(hyperplanes.data(), hyperplanes.data() + hyperplanes.size());
    std::vector<Word> all(static_cast<std::size_t>(n_words), 0);
    for (Index h = 0; h < hyperplanes.rows(); ++h) {
      const Word* mask = hyperplanes.data() + h * n_words;
      const auto at = std::find_if(mask, mask + n_words, [](Word word) { return word != 0; });
      require(at != mask + n_words, "hyperplanes must have rows");
      rows.push_back(static_cast<int>(64 * (at - mask)) + __builtin_ctzll(*at));
      for (std::size_t w = 0; w < all.size(); ++w) {
        require((all[w] & mask[w]) == 0, "no row may give two hyperplanes");
        all[w] |= mask[w];
      }
    }
    find_pairs(words, all);
    if (first < 0) return;
    for (std::size_t w = 0; w < all.size(); ++w) masks[static_cast<std::size_t>(first) * all.size() + w] ^= all[w];
  }

  const Word* mask(std::size_t h) const { return masks.data() + h * static_cast<std::size_t>(n_words); }

 private:
  void find_pairs(const WordMatrixView& words, const std::vector<Word>& all) {
    if (words.rows() % 2 != 0 || rows.empty()) return;
    std::vector<Word> common = all;  // bits that all first patterns have
    for (Index i = 0; i < words.rows(); i += 2) {
      const Word *pattern = words.data() + i * n_words, *opposite = pattern + n_words;
      Word other = 0;
      for (std::size_t w = 0; w < all.size(); ++w) {
        other |= pattern[w] ^ opposite[w] ^ all[w];
        common[w] &= pattern[w];
      }
      if (other != 0) return;
    }
    const auto found = std::find_if(rows.begin(), rows.end(), [&](int row) { return has_bit(common.data(), row); });
    if (found != rows.end()) first = static_cast<int>(found - rows.begin());
  }
};

/// The edges of some patterns.
class EdgeSearch {
 public:
  EdgeSearch(const PatternTable& table, const WordMatrixView& words, const Crossings& crossings)
      : table_(table),
        words_(words),
        crossings_(crossings),
        near_(crossings.rows.size() + 1),
        batch_(kBatch + 2 * near_.size()),
        fetched_(batch_.size()),
        neighbour_(static_cast<std::size_t>(words.cols())) {}

  /// Finds those whose first pattern is in a range, which does not part opposite ones.
  void run(Index from, Index to) {
    size_ = 0;
    const Index step = crossings_.first < 0 ? 1 : 2;
    for (Index i = from; i < to; i += step) {
      const Word* pattern = words_.data() + i * words_.cols();
      const std::uint64_t hash = table_.hash(pattern);
      std::size_t count = 0;
      for (std::size_t h = 0; h < crossings_.rows.size(); ++h) {
        near_[count] = static_cast<std::uint32_t>(h);
        count += table_.may_have(hash ^ crossings_.changes[h]);
      }
      for (std::size_t c = 0; c < count; ++c) table_.prefetch(hash ^ crossings_.changes[near_[c]]);
      // Without branches, which would be mispredicted every other time.
      for (Index side = 0; side < step; ++side) {
        for (std::size_t c = 0; c < count; ++c) {
          const std::uint32_t h = near_[c];
          batch_[batched_] = {static_cast<std::int32_t>(i + side), h, hash ^ crossings_.changes[h]};
          batched_ += has_bit(pattern, crossings_.rows[h]) != (side != 0);
        }
      }
      if (batched_ < kBatch) continue;
      look_up();
      std::swap(batch_, fetched_);
      std::swap(batched_, n_fetched_);
    }
    look_up();
    std::swap(batch_, fetched_);
    std::swap(batched_, n_fetched_);
    look_up();
  }

  Index size() const { return size_; }
  void copy(TopeGraph& graph, Index at) const {
    std::copy_n(edges_.data(), 2 * size_, graph.edges.data() + 2 * at);
    std::copy_n(crossed_.data(), size_, graph.crossed.data() + at);
  }

 private:
  struct Candidate {
    std::int32_t pattern;
    std::uint32_t hyperplane;
    std::uint64_t hash;
  };
  static constexpr std::size_t kBatch = 64;

  void look_up() {
    const auto room = static_cast<std::size_t>(size_) + n_fetched_;
    if (crossed_.size() < room) {
      crossed_.resize(2 * room);
      edges_.resize(4 * room);
    }
    for (std::size_t c = 0; c < n_fetched_; ++c) {
      const Candidate& candidate = fetched_[c];
      const std::int32_t opposite = crossings_.first >= 0 ? candidate.pattern & 1 : 0;
      const Word* pattern = words_.data() + (candidate.pattern - opposite) * words_.cols();
      const Word* mask = crossings_.mask(candidate.hyperplane);
      for (std::size_t w = 0; w < neighbour_.size(); ++w) neighbour_[w] = pattern[w] ^ mask[w];
      const std::int64_t found = table_.find(neighbour_.data(), candidate.hash);
      if (found < 0) continue;
      const auto at = static_cast<std::size_t>(size_++);
      const bool turned = static_cast<int>(candidate.hyperplane) == crossings_.first;
      edges_[2 * at] = candidate.pattern;
      edges_[2 * at + 1] = static_cast<std::int32_t>(found) ^ opposite ^ static_cast<std::int32_t>(turned);
      crossed_[at] = crossings_.rows[candidate.hyperplane];
    }
    n_fetched_ = 0;
  }

  const PatternTable& table_;
  const WordMatrixView& words_;
  const Crossings& crossings_;
  std::vector<std::uint32_t> near_;         // hyperplanes with a neighbour beyond, probably
  std::vector<Candidate> batch_, fetched_;  // what the table is read for next, and what has come from memory since
  std::size_t batched_ = 0, n_fetched_ = 0;
  std::vector<Word> neighbour_;
  Index size_ = 0;
  std::vector<std::int32_t> edges_, crossed_;
};

/// How many edges a graph on p corners of a cube can have (Harper 1964).
Index most_edges(Index p) {
  return p < 2 ? 0 : static_cast<Index>(0.5 * static_cast<double>(p) * std::log2(static_cast<double>(p))) + 1;
}

}  // namespace

TopeGraph tope_graph(const WordMatrixView& words, const WordMatrixView& hyperplanes, int n_threads, Monitor& monitor) {
  Crossings crossings(words, hyperplanes);
  const Index step = crossings.first < 0 ? 1 : 2, p = words.rows();
  const PatternTable table(words, step);
  for (std::size_t h = 0; h < crossings.rows.size(); ++h) crossings.changes.push_back(table.hash(crossings.mask(h)));
  TopeGraph result;
  result.edges.resize(2 * most_edges(p));  // of which only what is written takes memory
  result.crossed.resize(most_edges(p));
  constexpr Index kPiece = 1 << 13;  // patterns between two looks at the monitor, for each thread
  const int threads = std::max(n_threads, 1);
  std::vector<EdgeSearch> searches(static_cast<std::size_t>(threads), EdgeSearch(table, words, crossings));
  std::vector<Index> starts(searches.size());
  for (Index begin = 0; begin < p; begin += kPiece * threads) {
    const Index size = std::min(kPiece * threads, p - begin);
    std::fill(starts.begin(), starts.end(), Index{-1});
    parallel_ranges(size, threads, step, [&](int part, Index from, Index to) {
      searches[static_cast<std::size_t>(part)].run(begin + from, begin + to);
      starts[static_cast<std::size_t>(part)] = 0;
    });
    for (std::size_t part = 0; part < searches.size(); ++part) {
      if (starts[part] < 0) continue;
      starts[part] = result.size;
      result.size += searches[part].size();
    }
    parallel_ranges(size, threads, step, [&](int part, Index, Index) {
      const auto at = static_cast<std::size_t>(part);
      searches[at].copy(result, starts[at]);
    });
    monitor.poll();
  }
  return result;
}

}  // namespace cvxrelu
