#include "cvxrelu/gated/anderson.hpp"

#include <Eigen/Cholesky>

namespace cvxrelu {

double objective_over(const GroupLassoProblem& problem, const std::vector<Index>& groups, const Iterate& iterate) {
  double value = 0.5 * iterate.residual.squaredNorm();
  for (const Index i : groups) {
    const double norm = problem.norm(iterate.coef.col(i));
    value += problem.threshold(i) * norm + 0.5 * problem.ridge * norm * norm;
  }
  return value;
}

Anderson::Anderson(const GroupLassoProblem& problem, const std::vector<Index>& groups, const Iterate& iterate)
    : problem_(problem),
      groups_(groups),
      history_(problem.block_size() * static_cast<Index>(groups.size()), kDepth + 1) {
  remember(iterate);
}

void Anderson::remember(const Iterate& iterate) {
  const Index size = problem_.block_size();
  for (std::size_t k = 0; k < groups_.size(); ++k)
    history_.col(filled_).segment(static_cast<Index>(k) * size, size) = iterate.coef.col(groups_[k]);
  ++filled_;
}

bool Anderson::push(Iterate& iterate) {
  remember(iterate);
  if (filled_ <= kDepth) return false;
  const Matrix changes = history_.rightCols(kDepth) - history_.leftCols(kDepth);
  Matrix normal = changes.transpose() * changes;
  normal.diagonal().array() += 1e-12 * normal.trace() + 1e-300;
  const Vector weights = normal.ldlt().solve(Vector::Ones(kDepth));
  if (weights.allFinite() && weights.sum() != 0) {
    const Vector combined = history_.rightCols(kDepth) * (weights / weights.sum());
    Iterate trial = iterate;
    const Index size = problem_.block_size();
    for (std::size_t k = 0; k < groups_.size(); ++k)
      trial.coef.col(groups_[k]) = combined.segment(static_cast<Index>(k) * size, size);
    trial.refresh(problem_);
    if (objective_over(problem_, groups_, trial) < objective_over(problem_, groups_, iterate))
      iterate = std::move(trial);
  }
  filled_ = 0;
  remember(iterate);
  return true;
}

}  // namespace cvxrelu
