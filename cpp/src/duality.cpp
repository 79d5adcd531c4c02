#include "cvxrelu/duality.hpp"

#include <algorithm>

namespace cvxrelu {

DualityGap duality_gap(const GroupLassoProblem& problem, const Iterate& iterate, const MatrixView& correlations,
                       const std::vector<Index>* groups) {
  const Index count = correlations.cols();
  const auto group = [&](Index k) { return groups ? (*groups)[static_cast<std::size_t>(k)] : k; };
  const double rr = iterate.residual.squaredNorm();
  DualityGap result;

  if (problem.ridge == 0) {
    double violation = 0;  // the largest ||A_i' R|| / (beta omega_i)
    for (Index k = 0; k < count; ++k)
      violation = std::max(violation, correlations.col(k).norm() / problem.threshold(group(k)));
    const double best = rr > 0 ? problem.Y.cwiseProduct(iterate.residual).sum() / rr : 1.0;
    const double bound = violation > 0 ? 1 / violation : std::abs(best);
    result.scale = std::clamp(best, -bound, bound);
  }
  const double s = result.scale;
  result.gap = 0.5 * (1 - s) * (1 - s) * rr;
  result.primal = 0.5 * rr;
  for (Index k = 0; k < count; ++k) {
    const Index i = group(k);
    const auto W = iterate.coef.col(i);
    const double norm = W.norm(), threshold = problem.threshold(i);
    double penalty = threshold * norm, term = penalty;
    if (norm > 0) term -= s * W.dot(correlations.col(k));
    if (problem.ridge > 0) {
      const double excess = std::max(0.0, correlations.col(k).norm() - threshold);
      penalty += 0.5 * problem.ridge * norm * norm;
      term += 0.5 * problem.ridge * norm * norm + 0.5 * excess * excess / problem.ridge;
    }
    result.primal += penalty;
    result.gap += std::max(0.0, term);
  }
  return result;
}

}  // namespace cvxrelu
