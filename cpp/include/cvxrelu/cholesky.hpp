// Cholesky factorisation A = L L' of a symmetric positive definite matrix, by blocks, threaded and interruptible.
// n^3 / 6 multiply-adds, in place; Golub and Van Loan, Matrix Computations, 4.2.
#pragma once

#include "cvxrelu/monitor.hpp"
#include "cvxrelu/types.hpp"

namespace cvxrelu {

/// Overwrites the lower triangle of A (n x n) by L. The rest of A is not read, nor of use afterwards. Returns false
/// where A is not positive definite in floating point.
bool cholesky(Eigen::Ref<RowMatrix> A, int n_threads, Monitor& monitor);

/// Solves L L' X = B in place, L from `cholesky`.
void cholesky_solve(const RowMatrixView& L, Eigen::Ref<Matrix> B);

}  // namespace cvxrelu
