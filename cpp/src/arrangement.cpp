#include "cvxrelu/arrangement.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>

#include "cvxrelu/bits.hpp"
#include "cvxrelu/errors.hpp"
#include "cvxrelu/parallel.hpp"

namespace cvxrelu {

namespace {

constexpr double kTaskPairs = 1 << 13;    // no task should be larger: some milliseconds
constexpr double kPiecePairs = 1 << 11;   // tasks in a row that belong to the same part
constexpr double kWindowPairs = 1 << 18;  // tasks that run between two looks at the clock of a window
constexpr std::size_t kWindowTasks = 4096;

double binomial(int n, int k) {
  double result = 1;
  for (int i = 1; i <= k; ++i) result = result * (n - k + i) / i;
  return k < 0 || k > n ? 0 : result;
}

/// Largest number of pairs below a prefix with `below` smaller candidates, in rank r.
double pairs_bound(int r, int prefix, int below, bool subtree) {
  double sum = 0;
  for (int size = r - 1; size > prefix; size -= 2) {
    if (subtree || size == prefix + 1) sum += binomial(below, size - prefix);
  }
  return sum;
}

}  // namespace

/// What the threads of a search share.
struct Arrangement::Progress {
  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> pairs{0};  // as far as the threads have told
  std::int64_t limit = std::numeric_limits<std::int64_t>::max();
};

/// Polls the monitor on the caller's thread, and carries its exception to the others as a request to stop. Stops all of
/// them as well when they have found more pairs than the limit.
class Arrangement::ThreadPulse final : public Pulse {
 public:
  void attach(Monitor* monitor, Progress* progress, std::int64_t pairs) {
    monitor_ = monitor;
    progress_ = progress;
    told_ = pairs;
  }
  void beat(std::int64_t pairs, unsigned cost) override {
    beats_ += cost;
    if (beats_ < 1024) return;
    beats_ = 0;
    const std::int64_t more = pairs - told_;
    told_ = pairs;
    if (progress_->pairs.fetch_add(more, std::memory_order_relaxed) > progress_->limit - more) progress_->stop = true;
    if (progress_->stop.load(std::memory_order_relaxed)) throw SearchStopped();
    if (monitor_ == nullptr) return;
    try {
      monitor_->poll();
    } catch (...) {
      progress_->stop = true;
      throw;
    }
  }

 private:
  Monitor* monitor_ = nullptr;  // null on other threads
  Progress* progress_ = nullptr;
  std::int64_t told_ = 0;
  unsigned beats_ = 0;
};

struct alignas(64) Arrangement::Worker {
  ThreadPulse pulse;
  std::unique_ptr<CellSearch> search;
};

Arrangement::Arrangement(const RowMatrixView& X, double tol, bool check_gates)
    : rows_(std::make_shared<ArrangementRows>(X, tol == 0)) {
  settings_.tol = tol;
  settings_.check_gates = check_gates;
  start();
}

Arrangement::Arrangement(const Arrangement& whole, std::vector<int> contracted) : rows_(whole.rows_) {
  for (const int row : contracted) require(row >= 0 && row < rows_->n, "contracted rows must be rows of X");
  require(rows_->exact != nullptr && rows_->exact->independent(contracted), "contracted rows must be independent");
  settings_.tol = whole.settings_.tol;
  settings_.check_gates = false;
  settings_.contracted = std::move(contracted);
  start();
}

void Arrangement::start() {
  const int r = rank();
  finished_ = r == 0;
  if (finished_) return;
  Monitor silent;
  Progress progress;
  ThreadPulse pulse;
  pulse.attach(&silent, &progress, 0);
  const auto search = make_search(*rows_, settings_, pulse);
  for (int j = 0; j < rows_->n; ++j) {
    const bool nonzero = (rows_->all[static_cast<std::size_t>(j / 64)] >> (j % 64)) & 1;
    if (nonzero && search->is_candidate(j)) candidates_.push_back(j);
  }
  settings_.skip.assign(rows_->all.size(), ~Word{0});
  for (const int j : candidates_) settings_.skip[static_cast<std::size_t>(j / 64)] &= ~(Word{1} << (j % 64));
  const int m = n_hyperplanes();
  while (prefix_size_ < r - 2 && pairs_bound(r, prefix_size_, m - prefix_size_, true) > kTaskPairs) ++prefix_size_;
  task_.subtree = prefix_size_ == 0;
}

Arrangement::~Arrangement() = default;

std::string Arrangement::arithmetic() const {
  switch (rows_->arithmetic) {
    case Arithmetic::kSingle:
      return "integer, float32 lanes";
    case Arithmetic::kDouble:
      return "integer, float64 lanes";
    case Arithmetic::kWide:
      return "integer, paired float64 lanes";
    case Arithmetic::kFloating:
      break;
  }
  return settings_.tol > 0 ? "floating point with a tolerance" : "float64 with error bounds and exact minors";
}

double Arrangement::task_bound() const {
  const int below = position_.empty() ? n_hyperplanes() : position_.back();
  const int prefix = static_cast<int>(position_.size());
  const bool axis = prefix == 0 && rank() % 2 == 1;
  return pairs_bound(rank(), prefix, below, task_.subtree) + (axis ? 1 : 0);
}

void Arrangement::restrict(Index part, Index parts) {
  require(0 <= part && part < parts, "part must be below the number of parts");
  require(counts_.pairs == 0 && piece_ == 0 && position_.empty(), "cells were already asked for");
  part_ = part;
  parts_ = parts;
  if (!finished_ && part_ > 0) advance();
}

/// The next task of this part.
void Arrangement::advance() {
  do {
    piece_bound_ += task_bound();
    if (piece_bound_ >= kPiecePairs) {
      ++piece_;
      piece_bound_ = 0;
    }
    step();
  } while (!finished_ && piece_ % parts_ != part_);
}

/// The next task in the order of the depth-first search: prefixes with decreasing elements, shorter ones first.
void Arrangement::step() {
  do {
    if (static_cast<int>(position_.size()) < prefix_size_ && (position_.empty() || position_.back() > 0)) {
      position_.push_back((position_.empty() ? n_hyperplanes() : position_.back()) - 1);
    } else {
      while (!position_.empty() && position_.back() == 0) position_.pop_back();
      if (position_.empty()) {
        finished_ = true;
        return;
      }
      --position_.back();
    }
    task_.subtree = static_cast<int>(position_.size()) == prefix_size_;
  } while (task_bound() == 0);
  task_.prefix.clear();
  for (const int at : position_) task_.prefix.push_back(candidates_[static_cast<std::size_t>(at)]);
}

std::int64_t Arrangement::room() const {
  const double bound = 2 * task_bound();
  return finished_ ? 0 : bound < 0x1p62 ? static_cast<std::int64_t>(bound) : std::numeric_limits<std::int64_t>::max();
}

std::int64_t Arrangement::fill(Word* words, double* gates, std::int64_t capacity, int threads, Monitor& monitor) {
  std::int64_t filled = 0;
  while (!finished_) {
    std::vector<SearchTask> tasks;
    std::vector<std::int64_t> offsets = {0};
    const double left = std::min(static_cast<double>(capacity / 2 - filled), kWindowPairs);
    while (!finished_ && tasks.size() < kWindowTasks) {
      const double bound = task_bound();
      const double limit = tasks.empty() ? static_cast<double>(capacity / 2 - filled) : left;
      if (static_cast<double>(offsets.back()) + bound > limit) break;
      offsets.push_back(offsets.back() + static_cast<std::int64_t>(bound));
      tasks.push_back(task_);
      advance();
    }
    if (tasks.empty()) break;
    const Index row = 2 * filled;
    filled += run(tasks, offsets, words + row * words_for(rows_->n),
                  gates == nullptr ? nullptr : gates + row * rows_->n_features,
                  std::numeric_limits<std::int64_t>::max(), threads, monitor);
  }
  return 2 * filled;
}

std::int64_t Arrangement::count(std::int64_t limit, int threads, Monitor& monitor) {
  const std::int64_t before = counts_.pairs;
  std::int64_t pairs = 0;
  while (!finished_ && 2 * pairs <= limit) {
    std::vector<SearchTask> tasks;
    double bound = 0;
    for (; !finished_ && tasks.size() < kWindowTasks && bound < kWindowPairs; advance()) {
      bound += task_bound();
      tasks.push_back(task_);
    }
    run(tasks, std::vector<std::int64_t>(tasks.size() + 1, 0), nullptr, nullptr, limit / 2 - pairs, threads, monitor);
    pairs = counts_.pairs - before;
  }
  return 2 * pairs;
}

std::int64_t Arrangement::run(std::vector<SearchTask>& tasks, const std::vector<std::int64_t>& offsets, Word* words,
                              double* gates, std::int64_t limit, int threads, Monitor& monitor) {
  require(!stopped_, "the search was stopped in the middle: begin another one");
  stopped_ = true;
  const auto n_workers = static_cast<std::size_t>(std::max(threads, 1));
  while (workers_.size() < n_workers) {
    workers_.push_back(std::make_unique<Worker>());
    workers_.back()->search = make_search(*rows_, settings_, workers_.back()->pulse);
  }
  Progress progress;
  progress.limit = limit;
  for (std::size_t t = 0; t < n_workers; ++t) {
    workers_[t]->pulse.attach(t == 0 ? &monitor : nullptr, &progress, workers_[t]->search->counts.pairs);
  }

  const Index row_words = 2 * words_for(rows_->n), row_gates = 2 * rows_->n_features;
  std::vector<std::int64_t> found(tasks.size(), 0);
  const bool alone = n_workers == 1;  // then every task can write right behind the one before
  std::int64_t total = 0;
  const auto place = [&](std::size_t i) { return alone ? total : offsets[i]; };
  parallel_tasks(static_cast<Index>(tasks.size()), threads, [&](Index index, int thread) {
    const auto i = static_cast<std::size_t>(index);
    if (progress.stop.load(std::memory_order_relaxed)) return;
    CellOutput output;
    if (words != nullptr) output.words = words + place(i) * row_words;
    if (gates != nullptr) output.gates = gates + place(i) * row_gates;
    try {
      found[i] = workers_[static_cast<std::size_t>(thread)]->search->run(tasks[i], output);
    } catch (const SearchStopped&) {
      return;
    } catch (...) {
      progress.stop = true;
      throw;
    }
    if (alone) total += found[i];
  });
  if (!alone) {
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      if (total != offsets[i] && found[i] > 0) {
        const auto move = [&](auto* base, Index width) {
          if (base == nullptr) return;
          std::memmove(base + total * width, base + offsets[i] * width,
                       static_cast<std::size_t>(found[i] * width) * sizeof(*base));
        };
        move(words, row_words);
        move(gates, row_gates);
      }
      total += found[i];
    }
  }
  counts_ = SearchCounts();
  for (const auto& worker : workers_) counts_ += worker->search->counts;
  monitor.poll();
  stopped_ = progress.stop;
  if (stopped_) finished_ = false;
  return total;
}

}  // namespace cvxrelu
