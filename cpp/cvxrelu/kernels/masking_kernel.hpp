// Masking kernels K(eta) = sum_i eta_i D_i Z X' D_i = (Z X') o (M_Z diag(eta) M_X') of packed masks: n m (d + p / 4)
// vector-lane additions (masks/bit_product.hpp), half when Z is X. Memory beside the result: the masks turned around,
// (n + m) p / 8 bytes, and tiles.
#pragma once

#include "cvxrelu/base/monitor.hpp"
#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

/// K(weights) of the rows of X with themselves: words (p x words) are the patterns of X, weights (p) their eta >= 0.
void masking_kernel(const RowMatrixView& X, const WordMatrixView& words, const VectorView& weights, RowMatrixOut out,
                    int n_threads, Monitor& monitor);

/// K(weights) of the rows of Z with those of X, m x n; `z_words` are the patterns of the same gates on Z.
void masking_kernel(const RowMatrixView& X, const WordMatrixView& words, const RowMatrixView& Z,
                    const WordMatrixView& z_words, const VectorView& weights, RowMatrixOut out, int n_threads,
                    Monitor& monitor);

}  // namespace cvxrelu
