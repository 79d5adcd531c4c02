#include "cvxrelu/gated/screening.hpp"

#include <cmath>

namespace cvxrelu {

Screening::Screening(const GroupLassoProblem& problem, BlockUpdate& blocks)
    : problem_(problem),
      blocks_(blocks),
      // With a ridge the dual point is not scaled to feasibility. The norm of X costs n d^2, a pass n d p / 4.
      worthwhile_(problem.ridge == 0 && 4 * problem.design.n_features() < problem.design.n_patterns()) {}

void Screening::correlations(const MatrixView& V, Matrix& out) const {
  out.resize(problem_.block_size(), size());
  if (restricted_)
    restricted_->correlations<double>(V, out);
  else
    problem_.design.correlations(V, out);
}

void Screening::discard(const DualityGap& gap, const Matrix& correlations, const std::vector<bool>& keep) {
  if (!worthwhile_) return;
  const double radius = std::sqrt(2 * gap.gap) * blocks_.norm_bound();
  std::vector<Index> left;
  for (Index k = 0; k < size(); ++k) {
    const Index i = group(k);
    if (keep[static_cast<std::size_t>(i)] ||
        std::abs(gap.scale) * problem_.dual_norm(correlations.col(k)) + radius >= problem_.threshold(i))
      left.push_back(i);
  }
  if (2 * static_cast<Index>(left.size()) <= size() && !left.empty())
    restricted_.emplace(problem_.design, std::move(left));
}

}  // namespace cvxrelu
