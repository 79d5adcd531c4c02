// Kernels of gated and plain ReLU networks.
//
// Neural tangent kernels in the limit of infinite width, t the angle between x and z, gates h ~ N(0, I), weights of
// variance 1 and no factor for the fan-in (Cho and Saul, Kernel methods for deep learning, 2009; Jacot, Gabriel and
// Hongler, Neural tangent kernel, 2018; Arora et al., On exact computation with an infinitely wide neural net, 2019):
//
//     gated        x.z (pi - t) / (2 pi)       gradient in the first layer
//     gated_both   x.z (pi - t) / pi           gradient in both layers
//     relu         with k0 = (pi - t) / pi, k1 = (sin t + (pi - t) cos t) / pi and S = T = x.z, for each hidden layer
//                  S <- ||.|| ||.|| k1 / 2 (norms and t those of S),  T <- S + T k0 / 2;  T is the kernel.
//
// Angles come from s = 1 - |cos t|, which for nearly parallel rows is min(||a - b||^2, ||a + b||^2) / 2 of the unit
// rows a, b, by t = 2 asin sqrt(s / 2): accurate near 0 and pi, where arccos loses half of the digits.
// Cost: one GEMM of n m d multiply-adds (half when Z is X), about 30 more vector operations for each 8 entries.
//
// Masking kernels K(eta) = sum_i eta_i D_i Z X' D_i = (Z X') o (M_Z diag(eta) M_X') of packed masks: n m (d + p / 4)
// vector-lane additions (bit_product.hpp), half when Z is X. Memory beside the result: the masks turned around,
// (n + m) p / 8 bytes, and tiles.
#pragma once

#include "cvxrelu/monitor.hpp"
#include "cvxrelu/types.hpp"

namespace cvxrelu {

using RowMatrixOut = Eigen::Ref<RowMatrix>;

enum class NtkKind { gated, gated_both, relu };

/// The kernel of the rows of X (n x d) with themselves, n x n. `depth` counts hidden layers, and is 1 for gates.
void ntk(const RowMatrixView& X, NtkKind kind, int depth, RowMatrixOut out, int n_threads, Monitor& monitor);

/// The kernel of the rows of Z (m x d) with those of X (n x d), m x n.
void ntk(const RowMatrixView& X, const RowMatrixView& Z, NtkKind kind, int depth, RowMatrixOut out, int n_threads,
         Monitor& monitor);

/// K(weights) of the rows of X with themselves: words (p x words) are the patterns of X, weights (p) their eta >= 0.
void masking_kernel(const RowMatrixView& X, const WordMatrixView& words, const VectorView& weights, RowMatrixOut out,
                    int n_threads, Monitor& monitor);

/// K(weights) of the rows of Z with those of X, m x n; `z_words` are the patterns of the same gates on Z.
void masking_kernel(const RowMatrixView& X, const WordMatrixView& words, const RowMatrixView& Z,
                    const WordMatrixView& z_words, const VectorView& weights, RowMatrixOut out, int n_threads,
                    Monitor& monitor);

}  // namespace cvxrelu
