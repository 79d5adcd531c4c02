#include "cvxrelu/algebra/box_least_squares.hpp"

#include <algorithm>
#include <limits>

namespace cvxrelu {

namespace {

constexpr double kOptimality = 1e-13;  // slope, relative to ||c|| and all bounds, that counts as none

}  // namespace

void BoxLeastSquares::clear() { columns_.clear(); }

void BoxLeastSquares::add(double sign, const double* column, double upper) {
  columns_.push_back({column, sign, upper, At::lower});
}

double BoxLeastSquares::product(const Column& column) const {
  double sum = 0;
  for (Index k = 0; k < d_; ++k) sum += column.data[k] * point_[k];
  return column.sign * sum;
}

// Frees column j from the bound it is at; false when it depends on the free ones.
bool BoxLeastSquares::release(std::size_t j) {
  Column& column = columns_[j];
  if (!qr_.append(column.sign, column.data)) return false;
  const Index k = qr_.size() - 1;
  x_[k] = 0;
  if (column.at == At::upper) {
    x_[k] = column.upper;
    base_ -= column.sign * column.upper * Eigen::Map<const Vector>(column.data, d_);
  }
  column.at = At::free;
  free_.push_back(j);
  return true;
}

// Takes a free column out of the factorisation; those after it join again.
void BoxLeastSquares::remove(std::size_t position) {
  const std::vector<std::size_t> later(free_.begin() + static_cast<std::ptrdiff_t>(position) + 1, free_.end());
  const Vector x = x_.head(static_cast<Index>(free_.size()));
  free_.resize(position);
  qr_.truncate(static_cast<Index>(position));
  for (std::size_t a = 0; a < later.size(); ++a) {
    Column& column = columns_[later[a]];
    const double value = x[static_cast<Index>(position + 1 + a)];
    if (qr_.append(column.sign, column.data)) {
      x_[qr_.size() - 1] = value;
      free_.push_back(later[a]);
    } else {  // rounding only: the nearer bound
      column.at = value > 0.5 * column.upper ? At::upper : At::lower;
      if (column.at == At::upper) base_ += column.sign * column.upper * Eigen::Map<const Vector>(column.data, d_);
    }
  }
}

// Moves the free variables towards those of unbounded least squares; those that reach a bound stay there.
void BoxLeastSquares::advance() {
  while (!free_.empty()) {
    const Index k = qr_.size();
    qr_.project(base_, components_);
    qr_.solve(components_, trial_);
    double step = 1;
    Index blocking = -1;
    for (Index a = 0; a < k; ++a) {
      const double target = -trial_[a], upper = columns_[free_[static_cast<std::size_t>(a)]].upper;
      if (target > 0 && target < upper) continue;
      const double room = target <= 0 ? x_[a] : upper - x_[a], move = std::abs(target - x_[a]);
      const double ratio = move > 0 ? room / move : 0;
      if (blocking < 0 || ratio < step) {
        step = ratio;
        blocking = a;
      }
    }
    if (blocking < 0) {
      x_.head(k) = -trial_.head(k);
      return;
    }
    Column& column = columns_[free_[static_cast<std::size_t>(blocking)]];
    const bool up = -trial_[blocking] > 0;
    for (Index a = 0; a < k; ++a) x_[a] += step * (-trial_[a] - x_[a]);
    column.at = up ? At::upper : At::lower;
    if (up) base_ += column.sign * column.upper * Eigen::Map<const Vector>(column.data, d_);
    remove(static_cast<std::size_t>(blocking));
  }
}

double BoxLeastSquares::solve(const VectorView& c, double threshold) {
  double scale = c.norm();
  for (Column& column : columns_) {
    column.at = At::lower;
    if (column.upper < std::numeric_limits<double>::infinity()) scale += column.upper;
  }
  free_.clear();
  qr_.truncate(0);
  base_ = c;
  point_ = c;
  std::vector<std::size_t> rejected;
  const std::size_t most_steps = 10 * columns_.size() + 100;  // against cycling by rounding
  for (std::size_t step = 0; step < most_steps && point_.norm() > threshold; ++step) {
    std::size_t chosen = columns_.size();
    double steepest = kOptimality * scale;
    for (std::size_t j = 0; j < columns_.size(); ++j) {
      if (columns_[j].at == At::free) continue;
      const double slope = (columns_[j].at == At::lower ? -1 : 1) * product(columns_[j]);
      if (slope > steepest && std::find(rejected.begin(), rejected.end(), j) == rejected.end()) {
        steepest = slope;
        chosen = j;
      }
    }
    if (chosen == columns_.size()) break;
    if (!release(chosen)) {
      rejected.push_back(chosen);
      continue;
    }
    rejected.clear();
    advance();
    qr_.project(base_, components_);
    qr_.residual(base_, components_, point_);
  }
  // The point again from the variables, which are feasible whatever rounding did to the factorisation.
  point_ = base_;
  for (std::size_t a = 0; a < free_.size(); ++a) {
    const Column& column = columns_[free_[a]];
    const double value = std::clamp(x_[static_cast<Index>(a)], 0.0, column.upper);
    point_ += column.sign * value * Eigen::Map<const Vector>(column.data, d_);
    scale += value;
  }
  const double terms = static_cast<double>(d_ + 4 + 2 * static_cast<Index>(columns_.size()));
  return point_.norm() + terms * std::numeric_limits<double>::epsilon() * scale;
}

}  // namespace cvxrelu
