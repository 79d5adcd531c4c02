// Gap-safe screening (Ndiaye, Fercoq, Gramfort and Salmon, "Gap safe screening rules for sparsity enforcing penalties",
// 2017): with a feasible dual point T and the gap at it, every optimal dual point is within sqrt(2 gap) of T, so that
//
//     ||A_i' T|| + sqrt(2 gap) ||A_i|| < beta omega_i   proves that W_i = 0 at every optimum.
//
// ||A_i|| <= ||X|| <= sqrt(||X'X||_inf). Passes over the patterns then leave those out; nothing else changes, and the
// last pass, which certifies, is over all patterns again.
#pragma once

#include <optional>

#include "cvxrelu/gated/block_update.hpp"
#include "cvxrelu/gated/duality.hpp"
#include "cvxrelu/gated/group_lasso.hpp"

namespace cvxrelu {

class Screening {
 public:
  Screening(const GroupLassoProblem& problem, BlockUpdate& blocks);

  /// The patterns that are left, or null for all of them.
  const std::vector<Index>* survivors() const { return restricted_ ? &restricted_->patterns() : nullptr; }
  Index size() const { return restricted_ ? restricted_->size() : problem_.design.n_patterns(); }
  Index group(Index k) const { return restricted_ ? restricted_->patterns()[static_cast<std::size_t>(k)] : k; }

  /// out.col(k) = vec(A_i' V) for the k-th pattern that is left.
  void correlations(const MatrixView& V, Matrix& out) const;
  /// Discards what the correlations of a pass and its gap prove to be zero, once it is half of what is left.
  void discard(const DualityGap& gap, const Matrix& correlations, const std::vector<bool>& keep);
  void reset() { restricted_.reset(); }

 private:
  const GroupLassoProblem& problem_;
  BlockUpdate& blocks_;
  bool worthwhile_;
  std::optional<RestrictedDesign> restricted_;
};

}  // namespace cvxrelu
