// Symmetric positive definite matrices, of which only the lower triangle is read: products and Cholesky factors in
// tiles, so that threads share the work and the monitor is asked in between. Eigen does the arithmetic of a tile. For
// double and for float.
#pragma once

#include "cvxrelu/base/monitor.hpp"
#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

template <class S>
using MatrixViewOf = Eigen::Ref<const MatrixOf<S>>;

/// Lower triangle of S += factor A A'. n^2 k flops for A of shape (n, k).
void add_outer_product(const MatrixView& A, double factor, Eigen::Ref<Matrix> S, int n_threads, Monitor& monitor);
void add_outer_product(const MatrixViewOf<float>& A, float factor, Eigen::Ref<MatrixOf<float>> S, int n_threads,
                       Monitor& monitor);

/// Lower triangle of S += factor A'A. n^2 k flops for A of shape (k, n).
void add_inner_product(const MatrixView& A, double factor, Eigen::Ref<Matrix> S, int n_threads, Monitor& monitor);
void add_inner_product(const MatrixViewOf<float>& A, float factor, Eigen::Ref<MatrixOf<float>> S, int n_threads,
                       Monitor& monitor);

/// S becomes L with L L' = S, in its lower triangle. n^3 / 3 flops. False when S is not positive definite.
bool cholesky(Eigen::Ref<Matrix> S, int n_threads, Monitor& monitor);
bool cholesky(Eigen::Ref<MatrixOf<float>> S, int n_threads, Monitor& monitor);

/// B becomes L^-1 B. n^2 flops for each column.
void solve_lower(const MatrixView& L, Eigen::Ref<Matrix> B, int n_threads, Monitor& monitor);
void solve_lower(const MatrixViewOf<float>& L, Eigen::Ref<MatrixOf<float>> B, int n_threads, Monitor& monitor);

/// Diagonal of (L L')^-1. n^3 / 3 flops.
Vector inverse_diagonal(const MatrixView& L, int n_threads, Monitor& monitor);

}  // namespace cvxrelu
