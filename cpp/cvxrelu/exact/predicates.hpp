// Signs decided on the float64 numbers as given, without tolerances: a floating-point filter with a forward
// error bound, and exact integer arithmetic where the filter cannot decide.
#pragma once

#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

/// Bound on |fl(a.b) - a.b| / (||a|| ||b||) for dot products of length d, in any order of summation and with
/// or without fused multiply-add (Higham, Accuracy and Stability of Numerical Algorithms, 3.1), plus the
/// rounding of the norms themselves.
inline double dot_error_factor(Index d) { return 1.01 * static_cast<double>(d + 8) * 0x1p-53; }

/// Sign of the exact value of a.b: -1, 0 or 1. Never overflows, never underflows. O(d), some 20 ns a term.
int exact_dot_sign(const double* a, const double* b, Index d);

}  // namespace cvxrelu
