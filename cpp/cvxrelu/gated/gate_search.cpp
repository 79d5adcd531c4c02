#include "cvxrelu/gated/gate_search.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/base/parallel.hpp"

namespace cvxrelu {

namespace {

constexpr double kBetter = 1 + 1e-10;
constexpr double kNarrowestArc = 1e-9;  // a gate in the middle of a narrower one could be on the wrong side of a row
constexpr double kWorkPerPoll = 2e7;    // operations, some 20 ms

struct Crossing {
  double angle;
  Index row;
};

class GateSearch {
 public:
  GateSearch(const RowMatrixView& X, const RowMatrixView& theta)
      : X_(X), theta_(theta), all_(theta.transpose() * X), sum_(theta.cols(), X.cols()) {}

  double norm(const Vector& gate) {
    start(X_ * gate);
    return sum_.norm();
  }

  /// Moves `gate` to the best cell on the circle through it and `direction` (orthonormal) if that beats `norm_there`.
  void improve(Vector& gate, const Vector& direction, double& norm_there) {
    const Vector first = X_ * gate, second = X_ * direction;
    crossings_.clear();
    for (Index j = 0; j < X_.rows(); ++j) {
      if (first[j] == 0 && second[j] == 0) continue;
      double angle = std::atan2(-first[j], second[j]);
      if (angle < 0) angle += kPi;
      crossings_.push_back({angle < kPi ? angle : 0, j});
    }
    std::sort(crossings_.begin(), crossings_.end(), [](const Crossing& a, const Crossing& b) {
      return a.angle < b.angle || (a.angle == b.angle && a.row < b.row);
    });
    start(first);
    double best = norm_there * norm_there * kBetter * kBetter, middle = -1;
    double sign = 1, begin = 0;
    for (std::size_t k = 0; k <= crossings_.size(); ++k) {
      const double end = k < crossings_.size() ? crossings_[k].angle : kPi;
      if (end - begin > kNarrowestArc) {
        const double here = sum_.squaredNorm(), opposite = (all_ - sum_).squaredNorm();
        if (std::max(here, opposite) > best) {
          best = std::max(here, opposite);
          middle = 0.5 * (begin + end);
          sign = here >= opposite ? 1 : -1;
        }
      }
      if (k == crossings_.size()) break;
      const Index j = crossings_[k].row;
      sum_ += (first[j] > 0 ? -1.0 : 1.0) * theta_.row(j).transpose() * X_.row(j);
      begin = end;
    }
    if (middle < 0) return;
    const Vector candidate = (sign * (std::cos(middle) * gate + std::sin(middle) * direction)).normalized();
    const double reached = norm(candidate);  // without the rounding errors of many crossings
    if (!(reached > norm_there * kBetter)) return;
    gate = candidate;
    norm_there = reached;
  }

 private:
  void start(const Vector& products) {
    sum_.setZero();
    for (Index j = 0; j < X_.rows(); ++j)
      if (products[j] >= 0) sum_ += theta_.row(j).transpose() * X_.row(j);
  }

  const RowMatrixView& X_;
  const RowMatrixView& theta_;
  const RowMatrix all_;
  RowMatrix sum_;  // (X' D T)' in the cell at hand
  std::vector<Crossing> crossings_;
};

}  // namespace

Vector search_gates(const RowMatrixView& X, const RowMatrixView& theta, Eigen::Ref<RowMatrix> gates,
                    const RowMatrixView& directions, int n_threads, Monitor& monitor) {
  require(theta.rows() == X.rows(), "theta must have a row for every sample");
  require(gates.cols() == X.cols() && directions.cols() == X.cols(), "gates and directions must have a row's length");
  std::vector<GateSearch> searches(static_cast<std::size_t>(n_threads), GateSearch(X, theta));
  Vector norms(gates.rows());
  for (Index i = 0; i < gates.rows(); ++i) {
    gates.row(i).normalize();
    norms[i] = searches[0].norm(gates.row(i).transpose());
  }
  const double work = static_cast<double>(gates.rows() * X.rows()) * static_cast<double>(theta.cols() * X.cols() + 20);
  const Index step = std::max<Index>(1, static_cast<Index>(kWorkPerPoll / std::max(1.0, work)));
  for (Index begin = 0; begin < directions.rows(); begin += step) {
    parallel_tasks(gates.rows(), n_threads, [&](Index i, int thread) {
      Vector gate = gates.row(i).transpose();
      for (Index k = begin; k < std::min(begin + step, directions.rows()); ++k) {
        Vector direction = directions.row(k).transpose();
        direction -= direction.dot(gate) * gate;
        const double length = direction.norm();
        if (!(length > 1e-8 * directions.row(k).norm())) continue;
        direction /= length;
        searches[static_cast<std::size_t>(thread)].improve(gate, direction, norms[i]);
      }
      gates.row(i) = gate.transpose();
    });
    monitor.poll();
  }
  return norms;
}

}  // namespace cvxrelu
