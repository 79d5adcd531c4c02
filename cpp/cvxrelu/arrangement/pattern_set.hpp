// Which of many patterns are among some others, by hashing. Memory is waited for once for a batch of patterns, and no
// branch depends on what is found. A pattern of one word is as good as its hash, which is a bijection; longer ones are
// compared. Time O(n_words) for each pattern; memory 16 to 32 bytes for each that is known, 24 to 48 where they are
// longer.
#pragma once

#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

/// `found[i]` says whether row i of `wanted` is a row of `known`. Both have as many columns.
void find_among(const WordMatrixView& known, const WordMatrixView& wanted, bool* found, int n_threads);

}  // namespace cvxrelu
