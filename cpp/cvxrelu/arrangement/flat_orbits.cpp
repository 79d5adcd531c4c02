#include "cvxrelu/arrangement/flat_orbits.hpp"

#include <algorithm>
#include <memory>

#include "cvxrelu/arrangement/remainders.hpp"
#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/base/parallel.hpp"

namespace cvxrelu {

namespace {

constexpr std::size_t kMostImages = 1 << 12;  // equally good ones that are followed

Index count_rows(const std::vector<Word>& mask) {
  Index count = 0;
  for (const Word word : mask) count += __builtin_popcountll(word);
  return count;
}

}  // namespace

std::size_t FlatOrbits::Hash::operator()(const Mask& mask) const {
  std::uint64_t h = 0;
  for (const Word word : mask) {
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    h ^= h >> 29;
  }
  return h;
}

/// Finds the covers of flats, with the images that their orbits are known by.
class FlatOrbits::Worker {
 public:
  Worker(const ArrangementRows& rows, const std::vector<StabilizerLevel>& chain)
      : chain_(chain), remainders_(rows), last_(static_cast<std::size_t>(rows.rank) - 1) {}

  std::vector<Cover> covers(const Orbit& orbit) {
    const std::size_t rank = orbit.basis.size();
    std::size_t level = 0;
    while (level < std::min(rank, basis_.size()) && basis_[level] == orbit.basis[level]) ++level;
    basis_ = orbit.basis;
    for (; level < rank; ++level) remainders_.eliminate(level, basis_[level]);
    const auto lines = remainders_.covers(rank, orbit.flat);
    const Index below = count_rows(orbit.flat);
    std::vector<Cover> found;
    for (std::size_t begin = 0, end = 0; begin < lines.size(); begin = end) {
      Cover cover{orbit.flat, {}, lines[begin].row, 0, 0};
      basis_.push_back(cover.row);
      for (; end < lines.size() && lines[end].key == lines[begin].key; ++end) {
        const int row = lines[end].row;
        if (end > begin) remainders_.check(basis_, row);
        cover.flat[static_cast<std::size_t>(row / 64)] |= Word{1} << (row % 64);
      }
      basis_.pop_back();
      cover.more = static_cast<Index>(end - begin);
      cover.size = below + cover.more;
      if (rank + 1 < last_) cover.image = image(cover.flat);
      found.push_back(std::move(cover));
    }
    return found;
  }

 private:
  /// The image that is largest on the rows that are fixed first, then on those that are fixed next, and so on.
  Mask image(const Mask& flat) {
    std::vector<Mask> images = {flat}, better;
    Mask moved(flat.size());
    for (const StabilizerLevel& level : chain_) {
      better.clear();
      for (const Mask& mask : images) {
        for (const std::vector<int>& permutation : level.images) {
          permute(mask, permutation, moved);
          const int order = better.empty() ? 1 : compare(moved, better.front(), level.fixed);
          if (order < 0) continue;
          if (order > 0) better.clear();
          better.push_back(moved);
        }
      }
      std::sort(better.begin(), better.end());
      better.erase(std::unique(better.begin(), better.end()), better.end());
      if (better.size() > kMostImages) better.resize(kMostImages);
      images.swap(better);
    }
    return images.front();
  }

  static void permute(const Mask& mask, const std::vector<int>& permutation, Mask& moved) {
    std::fill(moved.begin(), moved.end(), 0);
    for (std::size_t w = 0; w < mask.size(); ++w) {
      for (Word rest = mask[w]; rest != 0; rest &= rest - 1) {
        const auto to = static_cast<std::size_t>(permutation[64 * w + static_cast<std::size_t>(__builtin_ctzll(rest))]);
        moved[to / 64] |= Word{1} << (to % 64);
      }
    }
  }

  static int compare(const Mask& a, const Mask& b, const Mask& where) {
    for (std::size_t w = 0; w < a.size(); ++w) {
      const Word x = a[w] & where[w], y = b[w] & where[w];
      if (x != y) return x > y ? 1 : -1;
    }
    return 0;
  }

  const std::vector<StabilizerLevel>& chain_;
  Remainders remainders_;
  const std::size_t last_;  // the rank whose flats need no image
  std::vector<int> basis_;  // of the flat before
};

FlatOrbits::FlatOrbits(const ArrangementRows& rows, std::vector<StabilizerLevel> chain)
    : rows_(rows), chain_(std::move(chain)), by_size_(static_cast<std::size_t>(rows.n) + 1, 0) {
  for (const StabilizerLevel& level : chain_) {
    require(level.fixed.size() == rows.all.size(), "fixed must be a mask of the rows");
    for (const auto& permutation : level.images) {
      require(permutation.size() == static_cast<std::size_t>(rows.n), "images must be permutations of the rows");
      for (const int row : permutation) require(0 <= row && row < rows.n, "images must be permutations of the rows");
    }
  }
  current_.push_back({Mask(rows.all.size(), 0), {}, 1});
  numbers_.push_back(1);
}

void FlatOrbits::advance(std::size_t most, int threads, Monitor& monitor) {
  if (finished()) return;
  const std::size_t count = std::min(most, current_.size() - done_);
  std::vector<std::vector<Cover>> found(count);
  std::vector<std::unique_ptr<Worker>> workers(static_cast<std::size_t>(std::max(threads, 1)));
  const auto look = [&](Index i, int thread) {
    auto& worker = workers[static_cast<std::size_t>(thread)];
    if (worker == nullptr) worker = std::make_unique<Worker>(rows_, chain_);
    found[static_cast<std::size_t>(i)] = worker->covers(current_[done_ + static_cast<std::size_t>(i)]);
  };
  parallel_tasks(static_cast<Index>(count), threads, look);
  const bool last = rank_ + 2 == static_cast<std::size_t>(rows_.rank);
  for (std::size_t i = 0; i < count; ++i) {
    const Orbit& below = current_[done_ + i];
    for (Cover& cover : found[i]) {
      const Weight weight = below.weight * static_cast<Weight>(cover.more);
      if (last) {
        by_size_[static_cast<std::size_t>(cover.size)] += weight;
        continue;
      }
      const auto at = known_.try_emplace(std::move(cover.image), next_.size()).first->second;
      if (at == next_.size()) {
        next_.push_back({std::move(cover.flat), below.basis, 0});
        next_.back().basis.push_back(cover.row);
      }
      next_[at].weight += weight;
    }
  }
  done_ += count;
  monitor.poll();
  if (done_ == current_.size()) finish_rank();
}

void FlatOrbits::finish_rank() {
  Weight total = 0;
  for (Orbit& orbit : next_) {
    orbit.weight /= static_cast<Weight>(count_rows(orbit.flat));
    total += orbit.weight;
  }
  for (std::size_t size = 1; size < by_size_.size(); ++size) total += by_size_[size] / size;
  numbers_.push_back(total);
  current_ = std::move(next_);
  next_.clear();
  known_.clear();
  done_ = 0;
  ++rank_;
}

std::vector<FlatOrbits::Weight> FlatOrbits::whitney_numbers() const {
  require(finished(), "the search has not finished");
  std::vector<Weight> numbers = numbers_;
  Weight last = 0;  // the alternating sum of all vanishes
  for (const Weight number : numbers) last = number - last;
  numbers.push_back(last);
  return numbers;
}

}  // namespace cvxrelu
