#include "cvxrelu/arrangement/tope_graph.hpp"

#include <algorithm>
#include <limits>
#include <random>

#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/base/parallel.hpp"

namespace cvxrelu {

PatternTable::PatternTable(const WordMatrixView& words) : words_(words) {
  require(words.rows() < std::numeric_limits<std::int32_t>::max(), "there must be fewer than 2^31 patterns");
  std::mt19937_64 random(1970);
  for (Index place = 0; place < 8 * words.cols(); ++place) {
    const std::size_t first = keys_.size();
    keys_.resize(first + 256, 0);
    for (std::size_t bit = 1; bit < 256; bit *= 2) {
      const std::uint64_t key = random();
      for (std::size_t byte = 0; byte < bit; ++byte) keys_[first + bit + byte] = keys_[first + byte] ^ key;
    }
  }
  std::size_t size = 16;
  while (size < 2 * static_cast<std::size_t>(words.rows())) size *= 2;
  slots_.resize(size);
  mask_ = size - 1;
  filter_.resize(size / 16);  // 8 to 16 bits a pattern
  filter_mask_ = filter_.size() - 1;
  for (Index i = 0; i < words.rows(); ++i) {
    const Word* pattern = words.data() + i * words.cols();
    const std::uint64_t h = hash(pattern);
    require(find(pattern, h) < 0, "patterns must be distinct");
    filter_[(h >> 6) & filter_mask_] |= Word{1} << (h & 63);
    std::uint64_t at = slot(h);
    while (slots_[at].row != 0) at = (at + 1) & mask_;
    slots_[at] = {tag(h), static_cast<std::uint32_t>(i + 1)};
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
  for (std::uint64_t at = slot(hash); slots_[at].row != 0; at = (at + 1) & mask_) {
    if (slots_[at].tag != tag(hash)) continue;
    const std::int64_t row = slots_[at].row - std::int64_t{1};
    if (std::equal(pattern, pattern + words_.cols(), words_.data() + row * words_.cols())) return row;
  }
  return -1;
}

namespace {

/// The edges of some patterns.
class EdgeSearch {
 public:
  EdgeSearch(const PatternTable& table, const WordMatrixView& words, const WordMatrixView& hyperplanes)
      : table_(table), words_(words), hyperplanes_(hyperplanes), neighbour_(static_cast<std::size_t>(words.cols())) {
    for (Index h = 0; h < hyperplanes.rows(); ++h) {
      const Word* mask = hyperplanes.data() + h * hyperplanes.cols();
      const auto at = std::find_if(mask, mask + hyperplanes.cols(), [](Word word) { return word != 0; });
      require(at != mask + hyperplanes.cols(), "hyperplanes must have rows");
      change_.push_back(table.hash(mask));
      row_.push_back(static_cast<int>(64 * (at - mask)) + __builtin_ctzll(*at));
    }
  }

  void run(Index from, Index to, TopeGraph& edges) {
    for (Index i = from; i < to; ++i) {
      const Word* pattern = words_.data() + i * words_.cols();
      const std::uint64_t hash = table_.hash(pattern);
      for (std::size_t h = 0; h < row_.size(); ++h) {
        const bool active = (pattern[row_[h] / 64] >> (row_[h] % 64)) & 1, likely = table_.may_have(hash ^ change_[h]);
        if (!(active & likely)) continue;
        table_.prefetch(hash ^ change_[h]);
        batch_.push_back({i, h, hash ^ change_[h]});
      }
      if (batch_.size() >= kBatch) look_up(edges);
    }
    look_up(edges);
  }

 private:
  struct Candidate {
    Index pattern;
    std::size_t hyperplane;
    std::uint64_t hash;
  };
  static constexpr std::size_t kBatch = 64;

  void look_up(TopeGraph& edges) {
    for (const Candidate& candidate : batch_) table_.prefetch_pattern(candidate.hash);
    for (const Candidate& candidate : batch_) {
      const Word* pattern = words_.data() + candidate.pattern * words_.cols();
      const Word* mask = hyperplanes_.data() + static_cast<Index>(candidate.hyperplane) * words_.cols();
      for (std::size_t w = 0; w < neighbour_.size(); ++w) neighbour_[w] = pattern[w] ^ mask[w];
      const std::int64_t found = table_.find(neighbour_.data(), candidate.hash);
      if (found < 0) continue;
      edges.from.push_back(static_cast<std::int32_t>(candidate.pattern));
      edges.to.push_back(static_cast<std::int32_t>(found));
      edges.hyperplane.push_back(static_cast<std::int32_t>(candidate.hyperplane));
    }
    batch_.clear();
  }

  const PatternTable& table_;
  const WordMatrixView& words_;
  const WordMatrixView& hyperplanes_;
  std::vector<std::uint64_t> change_;  // of the hash
  std::vector<int> row_;               // the first that gives the hyperplane
  std::vector<Candidate> batch_;
  std::vector<Word> neighbour_;
};

}  // namespace

TopeGraph tope_graph(const WordMatrixView& words, const WordMatrixView& hyperplanes, int n_threads, Monitor& monitor) {
  require(hyperplanes.cols() == words.cols(), "hyperplanes must have as many words as the patterns");
  const PatternTable table(words);
  TopeGraph result;
  constexpr Index kPiece = 1 << 14;  // patterns between two looks at the monitor, for each thread
  const int threads = std::max(n_threads, 1);
  std::vector<EdgeSearch> searches(static_cast<std::size_t>(threads), EdgeSearch(table, words, hyperplanes));
  std::vector<TopeGraph> parts(static_cast<std::size_t>(threads));
  const Index p = words.rows();
  for (Index begin = 0; begin < p; begin += kPiece * threads) {
    parallel_ranges(std::min(kPiece * threads, p - begin), threads, 1, [&](int part, Index from, Index to) {
      searches[static_cast<std::size_t>(part)].run(begin + from, begin + to, parts[static_cast<std::size_t>(part)]);
    });
    for (TopeGraph& part : parts) {
      const auto move = [](std::vector<std::int32_t>& own, std::vector<std::int32_t>& all) {
        all.insert(all.end(), own.begin(), own.end());
        own.clear();
      };
      move(part.from, result.from);
      move(part.to, result.to);
      move(part.hyperplane, result.hyperplane);
    }
    monitor.poll();
  }
  return result;
}

}  // namespace cvxrelu
