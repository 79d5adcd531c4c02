#include "cvxrelu/gated/duality.hpp"

#include <algorithm>
#include <cmath>

#include "cvxrelu/base/errors.hpp"

namespace cvxrelu {

namespace {

// Adds block i's part of the primal objective and of the gap, `correlation` being A_i'T at the dual point T.
template <class Penalty, class Block, class Correlation>
void add_block(const Penalty& penalties, Index i, const Block& W, const Correlation& correlation, double dual_scale,
               DualityGap& result) {
  const double norm = penalties.norm(W), threshold = penalties.threshold(i);
  double penalty = threshold * norm, conjugate = 0;
  if (penalties.ridge > 0) {
    const double excess = std::max(0.0, std::abs(dual_scale) * correlation.norm() - threshold);
    penalty += 0.5 * penalties.ridge * norm * norm;
    conjugate = 0.5 * excess * excess / penalties.ridge;
  }
  result.primal += penalty;
  const double overlap = norm > 0 ? dual_scale * W.dot(correlation) : 0;
  result.gap += std::max(0.0, penalty - overlap + conjugate);  // below zero only by rounding
}

// The largest ||A_i'T|| / (beta omega_i). Without a ridge, T is feasible where this is at most 1.
template <class Penalty, class Group>
double violation(const Penalty& penalties, const MatrixView& correlations, const Group& group) {
  double largest = 0;
  for (Index k = 0; k < correlations.cols(); ++k)
    largest = std::max(largest, penalties.dual_norm(correlations.col(k)) / penalties.threshold(group(k)));
  return largest;
}

// The s with the largest dual objective at s T with a ridge, overlap = <Y, T>: the zero of a concave, decreasing and
// piecewise linear function, to which Newton's method from above comes down in finitely many steps.
template <class Penalty, class Group>
double best_scale(const Penalty& penalties, double overlap, double squared, const MatrixView& correlations,
                  const Group& group) {
  if (squared == 0) return 1;
  const Vector norms = correlations.colwise().norm();
  const double size = std::abs(overlap);
  double s = size / squared;
  for (Index steps = 0; steps <= norms.size(); ++steps) {
    double level = penalties.ridge * size, slope = penalties.ridge * squared;  // times the ridge, which may be tiny
    for (Index k = 0; k < norms.size(); ++k) {
      const double threshold = penalties.threshold(group(k));
      if (s * norms[k] <= threshold) continue;
      level += norms[k] * threshold;
      slope += norms[k] * norms[k];
    }
    const double next = level / slope;
    if (!(next < s)) break;
    s = next;
  }
  return std::copysign(s, overlap);
}

// The gap at a multiple of R, `coef(i)` being vec(W_i).
template <class Penalty, class Group, class Coef>
DualityGap gap_at_multiple(const Penalty& penalties, double squared, double overlap, const MatrixView& correlations,
                           const Group& group, const Coef& coef) {
  DualityGap result;
  if (penalties.ridge == 0) {
    const double most = violation(penalties, correlations, group);
    const double best = squared > 0 ? overlap / squared : 1.0;
    const double bound = most > 0 ? 1 / most : std::abs(best);
    result.scale = std::clamp(best, -bound, bound);
  } else {
    result.scale = best_scale(penalties, overlap, squared, correlations, group);
  }
  result.primal = 0.5 * squared;
  result.gap = 0.5 * (1 - result.scale) * (1 - result.scale) * squared;
  for (Index k = 0; k < correlations.cols(); ++k)
    add_block(penalties, group(k), coef(group(k)), correlations.col(k), result.scale, result);
  return result;
}

struct Thresholds {
  const VectorView& values;
  double ridge;
  double threshold(Index i) const { return values[i]; }
  double norm(const VectorView& w) const { return w.norm(); }
  double dual_norm(const VectorView& g) const { return g.norm(); }
};

}  // namespace

DualityGap duality_gap(const GroupLassoProblem& problem, const Iterate& iterate, const MatrixView& correlations,
                       const std::vector<Index>* groups) {
  const auto group = [&](Index k) { return groups ? (*groups)[static_cast<std::size_t>(k)] : k; };
  const double squared = iterate.residual.squaredNorm();
  const double overlap = problem.Y.cwiseProduct(iterate.residual).sum();
  return gap_at_multiple(problem, squared, overlap, correlations, group, [&](Index i) { return iterate.coef.col(i); });
}

DualityGap duality_gap(const GapSums& sums, const VectorView& thresholds, double ridge) {
  const Index n_groups = sums.correlations.cols();
  require(thresholds.size() == n_groups, "there must be a threshold for each group");
  require(sums.blocks.cols() == static_cast<Index>(sums.active.size()), "there must be a block for each active group");
  const Vector zero = Vector::Zero(sums.correlations.rows());
  std::vector<Index> column(static_cast<std::size_t>(n_groups), -1);
  for (std::size_t a = 0; a < sums.active.size(); ++a) {
    require(sums.active[a] >= 0 && sums.active[a] < n_groups, "active groups must be among all");
    column[static_cast<std::size_t>(sums.active[a])] = static_cast<Index>(a);
  }
  const auto coef = [&](Index i) -> Eigen::Ref<const Vector> {
    const Index a = column[static_cast<std::size_t>(i)];
    if (a < 0) return zero;
    return sums.blocks.col(a);
  };
  return gap_at_multiple(
      Thresholds{thresholds, ridge}, sums.squared, sums.overlap, sums.correlations, [](Index k) { return k; }, coef);
}

double blocks_gap(const GroupLassoProblem& problem, const Iterate& iterate, const MatrixView& correlations,
                  const std::vector<Index>* groups, double scale) {
  DualityGap result;
  for (Index k = 0; k < correlations.cols(); ++k) {
    const Index i = groups ? (*groups)[static_cast<std::size_t>(k)] : k;
    add_block(problem, i, iterate.coef.col(i), correlations.col(k), scale, result);
  }
  return result.gap;
}

DualityGap duality_gap(const GroupLassoProblem& problem, const Matrix& coef, const MatrixView& T) {
  Iterate iterate(problem);
  iterate.coef = coef;
  iterate.refresh(problem);
  Matrix correlations(problem.block_size(), problem.design.n_patterns());
  problem.design.correlations(T, correlations);
  DualityGap result;
  const auto group = [](Index k) { return k; };
  result.scale = problem.ridge == 0
                     ? std::min(1.0, 1 / violation(problem, correlations, group))
                     : best_scale(problem, problem.Y.cwiseProduct(T).sum(), T.squaredNorm(), correlations, group);
  result.primal = 0.5 * iterate.residual.squaredNorm();
  result.gap = 0.5 * (iterate.residual - result.scale * T).squaredNorm();
  for (Index i = 0; i < correlations.cols(); ++i)
    add_block(problem, i, coef.col(i), correlations.col(i), result.scale, result);
  return result;
}

}  // namespace cvxrelu
