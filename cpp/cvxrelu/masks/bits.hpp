// Activation patterns as packed bits. Bit j of word j/64 of row i says whether x_j.g_i >= 0; bits past the
// last sample are zero. n p / 8 bytes for n samples and p patterns.
#pragma once

#include "cvxrelu/base/monitor.hpp"
#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

inline Index words_for(Index n_samples) { return (n_samples + 63) / 64; }

/// Writes the pattern of every gate (rows of `gates`, p x d) on every sample (rows of `X`, n x d): exact
/// signs of the numbers given, ties count as active. `margin[i]` becomes the smallest |x_j.g_i| / (||x_j||
/// ||g_i||) over the samples that are not zero, and 0 where some sign was too close for floating point to
/// decide.
void pack_patterns(const RowMatrixView& X, const RowMatrixView& gates, Eigen::Ref<WordMatrix> words,
                   Eigen::Ref<Vector> margin, int n_threads, Monitor& monitor);

}  // namespace cvxrelu
