// The least objective over affine combinations of iterates, which their outputs tell without a product with the design.
#pragma once

#include <deque>

#include "cvxrelu/gated/proximal_newton.hpp"

namespace cvxrelu {

/// Coefficients of the blocks of a working set, and what they fit.
struct FittedBlocks {
  Matrix coef;    // (d c, m)
  Matrix fitted;  // (n, c)
};

/// Coefficients of the combination base + sum_k a_k (other_k - base) where the loss, at the best coefficients of the
/// unpenalised columns, plus penalty is least, by Newton's method in a from the first of `others`. Lengths of blocks
/// are rounded off near zero for it. `thresholds` (m,) are beta omega_i; `fit` is that of base, and in the end that of
/// the combination. Cost of a step: O(n c k^2).
Matrix best_combination(const LossProblem& problem, const VectorView& thresholds, const FittedBlocks& base,
                        const std::deque<FittedBlocks>& others, CompletedFit& fit);

}  // namespace cvxrelu
