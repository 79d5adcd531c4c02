// Neural tangent kernels of gated and plain ReLU networks in the limit of infinite width, t the angle between x and z,
// gates h ~ N(0, I), weights of variance 1 and no factor for the fan-in (Cho and Saul, Kernel methods for deep
// learning, 2009; Jacot, Gabriel and Hongler, Neural tangent kernel, 2018; Arora et al., On exact computation with an
// infinitely wide neural net, 2019):
//
//     gated        x.z (pi - t) / (2 pi)       gradient in the first layer
//     gated_both   x.z (pi - t) / pi           gradient in both layers
//     relu         with k0 = (pi - t) / pi, k1 = (sin t + (pi - t) cos t) / pi and S = T = x.z, for each hidden layer
//                  S <- ||.|| ||.|| k1 / 2 (norms and t those of S),  T <- S + T k0 / 2;  T is the kernel.
//
// Angles come from s = 1 - |cos t|, which for nearly parallel rows is min(||a - b||^2, ||a + b||^2) / 2 of the unit
// rows a, b, by t = 2 asin sqrt(s / 2): accurate near 0 and pi, where arccos loses half of the digits.
// Cost: one GEMM of n m d multiply-adds (half when Z is X), about 30 more vector operations for each 8 entries.
#pragma once

#include "cvxrelu/base/monitor.hpp"
#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

enum class NtkKind { gated, gated_both, relu };

/// The kernel of the rows of X (n x d) with themselves, n x n. `depth` counts hidden layers, and is 1 for gates.
void ntk(const RowMatrixView& X, NtkKind kind, int depth, RowMatrixOut out, int n_threads, Monitor& monitor);

/// The kernel of the rows of Z (m x d) with those of X (n x d), m x n.
void ntk(const RowMatrixView& X, const RowMatrixView& Z, NtkKind kind, int depth, RowMatrixOut out, int n_threads,
         Monitor& monitor);

}  // namespace cvxrelu
