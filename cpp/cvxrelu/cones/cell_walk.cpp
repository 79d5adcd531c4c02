#include "cvxrelu/cones/cell_walk.hpp"

#include <algorithm>
#include <set>

#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/masks/bits.hpp"

namespace cvxrelu {

namespace {

constexpr double kImprovement = 1 + 1e-10;
constexpr int kMostSteps = 1000;
constexpr int kMostAscents = 60;
constexpr double kLeastAscent = 1e-3;
constexpr int kStepsPerSum = 32;  // crossings add rounding errors to a correlation until it is summed anew

bool active(const std::vector<Word>& pattern, Index j) {
  return (pattern[static_cast<std::size_t>(j / 64)] >> (j % 64) & 1) != 0;
}

void toggle(std::vector<Word>& pattern, Index j) { pattern[static_cast<std::size_t>(j / 64)] ^= Word(1) << (j % 64); }

// Now and `seconds`, which may be more than a clock can count.
CellWalk::Clock::time_point time_after(double seconds) {
  constexpr double most = 1e9;
  return CellWalk::Clock::now() +
         std::chrono::duration_cast<CellWalk::Clock::duration>(std::chrono::duration<double>(std::min(seconds, most)));
}

}  // namespace

CellWalk::CellWalk(const RowMatrixView& X, const UnitRows& rows) : X_(X), projector_(rows) {}

Vector CellWalk::correlation(const std::vector<Word>& pattern) const {
  Vector sum = Vector::Zero(X_.cols());
  for (Index j = 0; j < X_.rows(); ++j)
    if (active(pattern, j)) sum += signed_theta_[j] * X_.row(j).transpose();
  return sum;
}

void CellWalk::evaluate(Cell& cell, double threshold) {
  cell.norm = projector_.project(cell.pattern.data(), pool_, cell.correlation.data(), threshold,
                                 ConeProjector::Check::all, cell.support);
  cell.point = projector_.point();
}

CellWalk::Cell CellWalk::crossed(const Cell& from, const std::vector<Index>& rows, double threshold) {
  Cell cell{from.pattern, from.correlation, 0, {}, {}};
  for (const Index j : rows) {
    cell.correlation += (active(cell.pattern, j) ? -1 : 1) * signed_theta_[j] * X_.row(j).transpose();
    toggle(cell.pattern, j);
    pool_.turn(j);
  }
  for (const Index j : from.support)
    if (std::find(rows.begin(), rows.end(), j) == rows.end()) cell.support.push_back(j);
  evaluate(cell, threshold);
  for (const Index j : rows) pool_.turn(j);
  return cell;
}

// A few steps of ascent on the sphere, towards the correlation of the present cell: cheaper than crossing its rows.
Vector CellWalk::ascended(const VectorView& start) const {
  const double length = start.norm();
  if (!(length > 0)) return start;
  Vector point = start / length;
  Vector products = X_ * point;
  double value = signed_theta_.dot(products.cwiseMax(0.0)), step = 1;
  for (int k = 0; k < kMostAscents && step > kLeastAscent; ++k) {
    const Vector slope = X_.transpose() * (products.array() >= 0).select(signed_theta_, 0.0);
    const double steepness = slope.norm();
    if (!(steepness > 0)) break;
    const Vector trial = ((1 - step) * point + (step / steepness) * slope).normalized();
    const Vector trial_products = X_ * trial;
    const double trial_value = signed_theta_.dot(trial_products.cwiseMax(0.0));
    if (trial_value > value) {
      point = trial;
      products = trial_products;
      value = trial_value;
      step = std::min(1.0, 2 * step);
    } else {
      step *= 0.5;
    }
  }
  return point;
}

WalkEnd CellWalk::run(const VectorView& theta, int sign, const VectorView& start, Clock::time_point deadline,
                      Monitor& monitor) {
  signed_theta_ = sign * theta;
  Cell cell;
  cell.pattern.assign(static_cast<std::size_t>(words_for(X_.rows())), 0);
  const Vector products = X_ * ascended(start);
  for (Index j = 0; j < X_.rows(); ++j)
    if (products[j] >= 0) toggle(cell.pattern, j);
  pool_ = {};
  cell.correlation = correlation(cell.pattern);
  evaluate(cell, 0);
  for (int step = 0; step < kMostSteps && Clock::now() < deadline; ++step) {
    monitor.poll();
    // A projection ends as soon as its bound says that the cell is not better.
    double better = cell.norm * kImprovement;
    Cell best = crossed(cell, cell.support, better);
    std::vector<Index> chosen = cell.support;
    if (!(best.norm > better)) {
      chosen.clear();
      for (const Index j : cell.support) {
        if (Clock::now() >= deadline) break;
        Cell neighbour = crossed(cell, {j}, better);
        if (neighbour.norm > better) {
          better = neighbour.norm;
          best = std::move(neighbour);
          chosen = {j};
        }
      }
    }
    if (chosen.empty()) break;
    for (const Index j : chosen) pool_.turn(j);
    cell = std::move(best);
    if (step % kStepsPerSum == kStepsPerSum - 1) cell.correlation = correlation(cell.pattern);
  }
  WalkEnd end{cell.norm, sign, std::move(cell.pattern), {}};
  if (cell.norm > 0) end.point = cell.point / cell.norm;
  return end;
}

std::vector<WalkEnd> walk_cells(const RowMatrixView& X, const UnitRows& rows, const VectorView& theta,
                                const RowMatrixView& starts, const std::vector<int>& signs, double threshold,
                                double max_seconds, Monitor& monitor, double& best) {
  require(signs.empty() || static_cast<Index>(signs.size()) == starts.rows(), "signs must have one entry per start");
  const CellWalk::Clock::time_point deadline = time_after(max_seconds);
  CellWalk walk(X, rows);
  std::vector<WalkEnd> found;
  std::set<std::vector<Word>> seen;
  best = 0;
  for (Index k = 0; k < starts.rows(); ++k)
    for (int sign : {1, -1}) {
      if (!signs.empty() && signs[static_cast<std::size_t>(k)] == -sign) continue;
      if (CellWalk::Clock::now() >= deadline) break;
      WalkEnd end = walk.run(theta, sign, starts.row(k).transpose(), deadline, monitor);
      best = std::max(best, end.norm);
      if (end.norm > threshold && seen.insert(end.pattern).second) found.push_back(std::move(end));
    }
  std::stable_sort(found.begin(), found.end(), [](const WalkEnd& a, const WalkEnd& b) { return a.norm > b.norm; });
  return found;
}

// z = v / t for the projection (v, t) of the last unit vector onto the cone {(v, t) : s_j x_j.v - b_j t >= 0} (Lawson
// and Hanson 1974, chapter 23). Scaling b so that ||z|| is about 1 keeps the digits; a first solve tells the scale.
RowMatrix least_distance(const RowMatrixView& X, const WordMatrixView& words, const RowMatrixView& bounds,
                         Monitor& monitor) {
  require(words.cols() == words_for(X.rows()), "words must have ceil(n_samples / 64) columns");
  require(bounds.rows() == words.rows() && bounds.cols() == X.rows(), "bounds must have shape (n_patterns, n_samples)");
  const Index d = X.cols();
  RowMatrix shortest = RowMatrix::Zero(words.rows(), d);
  RowMatrix extended(X.rows(), d + 1);
  extended.leftCols(d) = X;
  Vector last = Vector::Zero(d + 1);
  last[d] = 1;
  std::vector<Index> support;
  for (Index i = 0; i < words.rows(); ++i) {
    const Word* pattern = words.row(i).data();
    double scale = 1;
    for (int pass = 0; pass < 2; ++pass) {
      // The sign of a row is applied to all of it, so that of its last entry is undone here.
      for (Index j = 0; j < X.rows(); ++j) extended(j, d) = -sign_of(pattern, j) * bounds(i, j) / scale;
      const UnitRows rows(extended);
      ConeProjector projector(rows);
      ConePool pool;
      projector.project(pattern, pool, last.data(), 0, ConeProjector::Check::all, support);
      const Vector& point = projector.point();
      if (!(point[d] > 0)) break;
      shortest.row(i) = (scale / point[d]) * point.head(d).transpose();
      scale = shortest.row(i).stableNorm();
      if (!(scale > 0)) break;
    }
    support.clear();
    monitor.poll();
  }
  return shortest;
}

}  // namespace cvxrelu
