#include "cvxrelu/cones/direction_tree.hpp"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <limits>
#include <memory>

#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/base/parallel.hpp"

namespace cvxrelu {

namespace {

constexpr double kTolerances[] = {1, 0.3, 0.1, 0.03, 0.01, 0.001, 0};  // of the rounds, beyond the last level
constexpr std::size_t kBatch = 256;                                    // cells
constexpr Index kNodesOfABatch = 1 << 18;
constexpr Index kNodesWhileLooking = 1 << 15;  // for a direction above the threshold
constexpr std::size_t kMostWaiting = std::size_t{1} << 18;
constexpr int kMostClimbs = 20;
constexpr Index kNodesToFindMore = 4096;  // at least, and a quarter of those until the first was found

template <int P>
class DirectionTree {
 public:
  DirectionTree(const DirectionRows& rows, const DirectionSettings& settings, Monitor& monitor)
      : rows_(rows), settings_(settings), monitor_(monitor) {
    climb(rows);
    const int threads = std::max(1, settings.n_threads);
    for (int thread = 0; thread < threads; ++thread)
      searches_.push_back(std::make_unique<DirectionSearch<P>>(rows_, [this, thread] { return stopped(thread); }));
    for (const int sign : {1, -1})
      for (int face = 0; face < rows_.dimension; ++face)
        for (const int side : {1, -1}) {
          DirectionBox box{face, sign, std::numeric_limits<double>::infinity(), {}, {}};
          for (int k = 0; k < rows_.dimension; ++k) {
            box.lo[k] = k == face ? side : -1;
            box.hi[k] = k == face ? side : 1;
          }
          waiting_.push_back(box);
        }
  }

  DirectionResult run() {
    for (const double tolerance : kTolerances) {
      if (tolerance > 0 && tolerance < settings_.accuracy) continue;  // next to nothing is left to the last round
      round(tolerance);
      const double bound = std::max({closed_, value_ + rows_.error, highest(waiting_), highest(queue_)});
      result_.rounds.push_back({tolerance, bound, result_.n_nodes});
      if (ended()) break;
    }
    result_.bound = result_.rounds.back().bound;
    result_.complete = result_.bound <= level() * (1 + 1e-15);
    if (best_.point.size() > 0) found_.add(best_);
    result_.found = std::move(found_.list);
    return std::move(result_);
  }

 private:
  // A value to begin with: without one no bound of a cell where f is at most 0 would be low enough. Steps to the
  // gradient at hand, from every axis and from the sums of the rows of one sign, while f grows.
  void climb(const DirectionRows& rows) {
    const Index d = rows.dimension();
    Vector signs(rows.size());
    for (Index j = 0; j < rows.size(); ++j) signs[j] = rows.positive[static_cast<std::size_t>(j)] != 0 ? 1 : -1;
    Matrix starts(d, d + 2);
    starts.leftCols(d).setIdentity();
    starts.col(d) = rows.rows.transpose() * signs.cwiseMax(0.0);
    starts.col(d + 1) = rows.rows.transpose() * signs.cwiseMin(0.0);
    for (const int sign : {1, -1})
      for (const int side : {1, -1})
        for (Index k = 0; k < starts.cols(); ++k) {
          FoundDirection last;
          Vector point = side * starts.col(k);
          for (int step = 0; step < kMostClimbs && point.norm() > 0; ++step) {
            point.normalize();
            const Vector products = rows.rows * point;
            const Vector gradient =
                sign * (rows.linear + rows.rows.transpose() * (products.array() > 0).select(signs, 0.0));
            const double value = gradient.dot(point);
            if (!(value > last.value)) break;
            last = {value, sign, point};
            point = gradient;
          }
          if (last.value > best_.value) best_ = last;
        }
    value_ = best_.value;
    if (value_ > settings_.threshold) found_.add(best_);
  }

  // Searches all cells whose bound is above the round's; those that remain wait.
  void round(double tolerance) {
    queue_.clear();
    const auto above = [&](const DirectionBox& box) { return box.bound > (1 + tolerance) * level(); };
    std::copy_if(waiting_.begin(), waiting_.end(), std::back_inserter(queue_), above);
    waiting_.erase(std::remove_if(waiting_.begin(), waiting_.end(), above), waiting_.end());
    while (!queue_.empty() && !ended()) {
      const std::size_t size = std::min(kBatch, queue_.size());
      std::vector<DirectionBox> batch(queue_.end() - static_cast<std::ptrdiff_t>(size), queue_.end());
      queue_.resize(queue_.size() - size);
      const bool full = waiting_.size() + queue_.size() > kMostWaiting;
      const SearchLevels levels{settings_.threshold, settings_.accuracy, value_, full ? 0 : tolerance};
      const Index most = settings_.until_found ? kNodesWhileLooking : kNodesOfABatch;
      const Index nodes =
          std::max(Index{1}, std::min(most, settings_.max_nodes - result_.n_nodes) / static_cast<Index>(size));
      std::vector<SearchOutcome> outcomes(size);
      parallel_tasks(static_cast<Index>(size), static_cast<int>(searches_.size()), [&](Index i, int thread) {
        const auto task = static_cast<std::size_t>(i);
        outcomes[task] = searches_[static_cast<std::size_t>(thread)]->run(batch[task], levels, nodes);
      });
      for (SearchOutcome& outcome : outcomes) take(outcome, tolerance);
    }
  }

  void take(SearchOutcome& outcome, double tolerance) {
    result_.n_nodes += outcome.n_nodes;
    if (outcome.best.value > value_) {
      best_ = outcome.best;
      value_ = best_.value;
    }
    closed_ = std::max(closed_, outcome.closed);
    for (const DirectionBox& box : outcome.open)
      (box.bound > (1 + tolerance) * level() ? queue_ : waiting_).push_back(box);
    for (const FoundDirection& direction : outcome.found.list) found_.add(direction);
  }

  bool ended() {
    if (stop_ || result_.n_nodes >= settings_.max_nodes) return true;
    if (!settings_.until_found || found_.list.empty()) return false;
    if (enough_nodes_ == 0) enough_nodes_ = std::max(kNodesToFindMore, result_.n_nodes / 4 * 5);
    return result_.n_nodes >= enough_nodes_;
  }

  bool stopped(int thread) {
    if (thread == 0 && !stop_) {
      try {
        Progress progress;
        progress.iteration = result_.n_nodes;
        if (!monitor_.report(progress)) stop_ = true;
      } catch (...) {
        stop_ = true;
        throw;
      }
    }
    return stop_;
  }

  double level() const {
    return std::max({settings_.threshold, (1 + settings_.accuracy) * value_, value_ + 4 * rows_.error});
  }
  static double highest(const std::vector<DirectionBox>& boxes) {
    double most = 0;
    for (const DirectionBox& box : boxes) most = std::max(most, box.bound);
    return most;
  }

  const LaneRows<P> rows_;
  DirectionSettings settings_;
  Monitor& monitor_;
  std::vector<std::unique_ptr<DirectionSearch<P>>> searches_;
  std::vector<DirectionBox> waiting_, queue_;
  DirectionResult result_;
  FoundDirection best_;
  FoundDirections found_;
  double closed_ = 0, value_ = 0;
  Index enough_nodes_ = 0;  // once a direction was found, if that is what was asked for
  std::atomic<bool> stop_{false};
};

}  // namespace

DirectionResult price_by_directions(const RowMatrixView& X, const VectorView& theta, const DirectionSettings& settings,
                                    Monitor& monitor) {
  const DirectionRows rows(X, theta, 1e-3 * settings.accuracy * settings.threshold);
  require(rows.dimension() <= kMostDirectionFeatures, "a search over directions takes at most 12 independent features");
  DirectionResult result = rows.dimension() <= 8 ? DirectionTree<8>(rows, settings, monitor).run()
                                                 : DirectionTree<12>(rows, settings, monitor).run();
  for (FoundDirection& direction : result.found) {
    direction.point = (rows.axes * direction.point).normalized();
    direction.value = direction.sign * theta.dot((X * direction.point).cwiseMax(0.0));
  }
  auto& found = result.found;
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.value > b.value; });
  if (!found.empty()) result.value = std::max(0.0, found.front().value);
  return result;
}

}  // namespace cvxrelu
