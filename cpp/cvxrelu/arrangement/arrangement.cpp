#include "cvxrelu/arrangement/arrangement.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <mutex>
#include <thread>

#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/base/ordered_spans.hpp"
#include "cvxrelu/base/parallel.hpp"
#include "cvxrelu/masks/bits.hpp"

namespace cvxrelu {

namespace {

constexpr double kTaskPairs = 1 << 13;                              // no task should be larger: some milliseconds
constexpr double kBatchPairs = 1 << 13, kSmallBatchPairs = 1 << 7;  // tasks in a row for one thread

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
  Progress(std::int64_t capacity, std::int64_t most) : limit(most), spans(capacity) {}

  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> pairs{0};  // as far as the threads have told
  const std::int64_t limit;
  std::mutex mutex;  // of the spans, and of the next task
  OrderedSpans spans;
  std::atomic<int> finished{0};  // spans
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
    if (beats_ >= 1024) look(pairs);
  }
  void look(std::int64_t pairs) {
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

struct alignas(kLineBytes) Arrangement::Worker {
  ThreadPulse pulse;
  std::unique_ptr<CellSearch> search;
  std::vector<SearchTask> tasks;  // the first n_tasks of them
  std::size_t n_tasks = 0;
  OrderedSpans::Span* span = nullptr;
};

Arrangement::Arrangement(const RowMatrixView& X, double tol, bool check_gates, int parts, bool affine)
    : rows_(std::make_shared<ArrangementRows>(X, tol == 0, parts)) {
  settings_.tol = tol;
  settings_.check_gates = check_gates;
  settings_.affine = affine;
  if (affine) {
    const auto last = X.row(X.rows() - 1);
    require(last[rows_->n_features - 1] > 0 && (last.array() != 0).count() == 1, "the last row must be (0, ..., 0, 1)");
  }
  start();
}

Arrangement::Arrangement(const Arrangement& whole, std::vector<int> contracted) : rows_(whole.rows_) {
  for (const int row : contracted) require(row >= 0 && row < rows_->n, "contracted rows must be rows of X");
  require(rows_->exact != nullptr && rows_->exact->independent(contracted), "contracted rows must be independent");
  settings_.tol = whole.settings_.tol;
  settings_.check_gates = false;
  settings_.affine = whole.settings_.affine;
  settings_.contracted = std::move(contracted);
  start();
}

void Arrangement::start() {
  const int r = rank();
  finished_ = r == 0;
  if (finished_) return;
  Monitor silent;
  Progress progress(0, 0);
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
  const int axis = r % 2;
  most_ = left_ = pairs_bound(r, 0, m, true) + axis;
  bounds_ = {{static_cast<std::int64_t>(pairs_bound(r, 0, m, task_.subtree)) + axis}};
  for (int prefix = 1; prefix <= prefix_size_; ++prefix) {
    std::vector<std::int64_t>& bounds = bounds_.emplace_back();
    for (int below = 0; below < m; ++below) {
      bounds.push_back(static_cast<std::int64_t>(pairs_bound(r, prefix, below, prefix == prefix_size_)));
    }
  }
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

std::int64_t Arrangement::task_bound() const {
  return bounds_[position_.size()][position_.empty() ? 0 : static_cast<std::size_t>(position_.back())];
}

void Arrangement::restrict(Index part, Index parts) {
  require(0 <= part && part < parts, "part must be below the number of parts");
  require(counts_.pairs == 0 && before_ == 0 && position_.empty(), "cells were already asked for");
  part_ = part;
  parts_ = parts;
  while (!finished_ && part_here() < part_) step();
  finished_ = finished_ || part_here() > part_;
}

/// The part that the next task belongs to.
Index Arrangement::part_here() const {
  return std::min(static_cast<Index>(before_ / most_ * static_cast<double>(parts_)), parts_ - 1);
}

/// The next task of this part.
void Arrangement::advance() {
  step();
  finished_ = finished_ || part_here() != part_;
}

/// The next task in the order of the depth-first search: prefixes with decreasing elements, shorter ones first.
void Arrangement::step() {
  before_ += static_cast<double>(task_bound());
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

Index Arrangement::pattern_words() const { return words_for(rows_->n - settings_.affine); }

std::int64_t Arrangement::room() const { return finished_ ? 0 : cells_of_pair() * task_bound(); }

std::int64_t Arrangement::fill(Word* words, double* gates, std::int64_t capacity, int threads, Monitor& monitor) {
  const std::int64_t pairs = capacity / cells_of_pair();
  return cells_of_pair() * run(words, gates, pairs, std::numeric_limits<std::int64_t>::max(), threads, monitor);
}

std::int64_t Arrangement::count_next(std::int64_t capacity, int threads, Monitor& monitor) {
  return fill(nullptr, nullptr, capacity, threads, monitor);
}

std::int64_t Arrangement::count(std::int64_t limit, int threads, Monitor& monitor) {
  const std::int64_t before = counts_.pairs;
  run(nullptr, nullptr, std::numeric_limits<std::int64_t>::max(), limit / cells_of_pair(), threads, monitor);
  return cells_of_pair() * (counts_.pairs - before);
}

/// Gives a worker the next tasks, once there is room for them; false when there are none, or never will be room. Waits
/// for the others' last tasks too, since the caller's thread must poll.
bool Arrangement::take(Worker& worker, Progress& progress) {
  std::unique_lock<std::mutex> lock(progress.mutex);
  for (worker.span = nullptr; worker.span == nullptr;) {
    if (progress.stop) return false;
    if (!finished_) {
      // Ever smaller ones, so that all threads end at the same time.
      const double share = left_ / (8 * static_cast<double>(workers_.size()));
      const auto batch = static_cast<std::int64_t>(std::clamp(share, kSmallBatchPairs, kBatchPairs));
      worker.span = progress.spans.reserve(task_bound(), std::max(task_bound(), batch));
    }
    if (worker.span != nullptr) break;
    if (progress.spans.idle()) return false;
    const int before = progress.finished;
    lock.unlock();
    for (; progress.finished == before; std::this_thread::yield()) worker.pulse.look(worker.search->counts.pairs);
    lock.lock();
  }
  std::int64_t bound = 0;
  for (worker.n_tasks = 0; !finished_ && bound + task_bound() <= worker.span->length; advance()) {
    if (worker.n_tasks == worker.tasks.size()) worker.tasks.emplace_back();
    worker.tasks[worker.n_tasks++] = task_;
    bound += task_bound();
  }
  left_ -= static_cast<double>(bound);
  worker.span->length = bound;
  return true;
}

std::int64_t Arrangement::run(Word* words, double* gates, std::int64_t capacity, std::int64_t limit, int threads,
                              Monitor& monitor) {
  require(!stopped_, "the search was stopped in the middle: begin another one");
  stopped_ = true;
  const auto n_workers = static_cast<std::size_t>(left_ < kBatchPairs ? 1 : std::max(threads, 1));
  workers_.resize(std::max(workers_.size(), n_workers));
  Progress progress(capacity, limit);
  const Index row_words = cells_of_pair() * pattern_words(), row_gates = cells_of_pair() * gate_size();
  const auto move = [&](std::int64_t from, std::int64_t to, std::int64_t pairs) {
    const auto move_rows = [&](auto* base, Index width) {
      if (base == nullptr) return;
      std::memmove(base + to * width, base + from * width, static_cast<std::size_t>(pairs * width) * sizeof(*base));
    };
    move_rows(words, row_words);
    move_rows(gates, row_gates);
  };
  parallel_ranges(static_cast<Index>(n_workers), static_cast<int>(n_workers), 1, [&](int part, Index, Index) {
    auto& own = workers_[static_cast<std::size_t>(part)];
    try {
      if (own == nullptr) own = std::make_unique<Worker>();
      Worker& worker = *own;
      worker.pulse.attach(part == 0 ? &monitor : nullptr, &progress, worker.search ? worker.search->counts.pairs : 0);
      if (worker.search == nullptr) worker.search = make_search(*rows_, settings_, worker.pulse);
      while (take(worker, progress)) {
        std::int64_t found = 0;
        for (std::size_t i = 0; i < worker.n_tasks; ++i) {
          const std::int64_t pair = worker.span->begin + found;
          CellOutput output;
          output.pairs = worker.span->length - found;
          if (words != nullptr) output.words = words + pair * row_words;
          if (gates != nullptr) output.gates = gates + pair * row_gates;
          found += worker.search->run(worker.tasks[i], output);
        }
        std::unique_lock<std::mutex> lock(progress.mutex);
        progress.spans.finish(*worker.span, found, lock, move);
        ++progress.finished;
      }
    } catch (const SearchStopped&) {
    } catch (...) {
      progress.stop = true;
      throw;
    }
  });
  counts_ = SearchCounts();
  for (const auto& worker : workers_) {
    if (worker->search != nullptr) counts_ += worker->search->counts;  // null: stopped before it began
  }
  monitor.poll();
  stopped_ = progress.stop;
  if (stopped_) finished_ = false;
  return progress.spans.total();
}

}  // namespace cvxrelu
