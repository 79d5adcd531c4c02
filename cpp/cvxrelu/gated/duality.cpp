#include "cvxrelu/gated/duality.hpp"

#include <algorithm>
#include <cmath>

namespace cvxrelu {

namespace {

// Adds block i's part of the primal objective and of the gap, `correlation` being A_i'T at the dual point T.
template <class Block, class Correlation>
void add_block(const GroupLassoProblem& problem, Index i, const Block& W, const Correlation& correlation,
               double dual_scale, DualityGap& result) {
  const double norm = W.norm(), threshold = problem.threshold(i);
  double penalty = threshold * norm, conjugate = 0;
  if (problem.ridge > 0) {
    const double excess = std::max(0.0, std::abs(dual_scale) * correlation.norm() - threshold);
    penalty += 0.5 * problem.ridge * norm * norm;
    conjugate = 0.5 * excess * excess / problem.ridge;
  }
  result.primal += penalty;
  const double overlap = norm > 0 ? dual_scale * W.dot(correlation) : 0;
  result.gap += std::max(0.0, penalty - overlap + conjugate);  // below zero only by rounding
}

// The largest ||A_i'T|| / (beta omega_i). Without a ridge, T is feasible where this is at most 1.
template <class Group>
double violation(const GroupLassoProblem& problem, const MatrixView& correlations, const Group& group) {
  double largest = 0;
  for (Index k = 0; k < correlations.cols(); ++k)
    largest = std::max(largest, correlations.col(k).norm() / problem.threshold(group(k)));
  return largest;
}

// The s with the largest dual objective at s T with a ridge, overlap = <Y, T>: the zero of a concave, decreasing and
// piecewise linear function, to which Newton's method from above comes down in finitely many steps.
template <class Group>
double best_scale(const GroupLassoProblem& problem, double overlap, double squared, const MatrixView& correlations,
                  const Group& group) {
  if (squared == 0) return 1;
  const Vector norms = correlations.colwise().norm();
  const double size = std::abs(overlap);
  double s = size / squared;
  for (Index steps = 0; steps <= norms.size(); ++steps) {
    double level = problem.ridge * size, slope = problem.ridge * squared;  // times the ridge, which may be tiny
    for (Index k = 0; k < norms.size(); ++k) {
      const double threshold = problem.threshold(group(k));
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

}  // namespace

DualityGap duality_gap(const GroupLassoProblem& problem, const Iterate& iterate, const MatrixView& correlations,
                       const std::vector<Index>* groups) {
  const auto group = [&](Index k) { return groups ? (*groups)[static_cast<std::size_t>(k)] : k; };
  const double rr = iterate.residual.squaredNorm();
  DualityGap result;
  const double overlap = problem.Y.cwiseProduct(iterate.residual).sum();
  if (problem.ridge == 0) {
    const double most = violation(problem, correlations, group);
    const double best = rr > 0 ? overlap / rr : 1.0;
    const double bound = most > 0 ? 1 / most : std::abs(best);
    result.scale = std::clamp(best, -bound, bound);
  } else {
    result.scale = best_scale(problem, overlap, rr, correlations, group);
  }
  result.primal = 0.5 * rr;
  result.gap = 0.5 * (1 - result.scale) * (1 - result.scale) * rr;
  for (Index k = 0; k < correlations.cols(); ++k)
    add_block(problem, group(k), iterate.coef.col(group(k)), correlations.col(k), result.scale, result);
  return result;
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
