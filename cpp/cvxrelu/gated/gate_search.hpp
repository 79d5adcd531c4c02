// Local pricing for the gated program: gates that raise ||X' D_g T|| over all cells (Frobenius norm, T of shape (n,
// c)).
//
// The great circle through a gate g and a direction h, cos(a) g + sin(a) h, passes at most 2 n cells. Row j changes
// sides where tan(a) = -x_j.g / x_j.h, so that sorting these angles and adding one row at a time gives X' D T in every
// cell of the circle; the other half of it has the opposite masks. g moves to the middle of the best arc if that is
// better than where it was: monotone, and it ends at a gate that is best on every circle tried.
//
// O(n (d c + log n)) a circle, O(n + d c) memory for each thread.
#pragma once

#include "cvxrelu/base/monitor.hpp"
#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

/// Moves every row of `gates`, none zero, along the circles through it and each row of `directions` in turn, and
/// returns the norms. Gates come back with length 1.
Vector search_gates(const RowMatrixView& X, const RowMatrixView& theta, Eigen::Ref<RowMatrix> gates,
                    const RowMatrixView& directions, int n_threads, Monitor& monitor);

}  // namespace cvxrelu
