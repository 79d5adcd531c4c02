// Gaussian measure P[h in K] of the cones K = {u : s_j a_j.u >= 0 for all j} in R^2 and R^3, for a standard Gaussian h:
// an angle over 2 pi, or the area of a spherical polygon over 4 pi.
//
// The polygon begins as the triangle of three independent rows and is cut by one row after the other (Sutherland and
// Hodgman, CACM 17, 1974). It is kept as the cycle of its sides, whose corners are cross products, so that no rounded
// corner is ever the origin of another. Signs that float64 cannot decide are taken with 128 bits, as are corners and
// areas (Van Oosterom and Strackee, IEEE Trans. Biomed. Eng. 30, 1983) in the end: relative accuracy is kept in cells
// that are tiny, or whose corners are nearly antipodal, as where rows lie near a plane. No point of a cone is needed.
// Time O(n) in R^2 and O(n sides) in R^3 for each cone, memory O(n).
#pragma once

#include "cvxrelu/base/monitor.hpp"
#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

/// `rows` (n, r), r = 2 or 3, of rank r, taken as exact; bit j of `words` is s_j. Rows that are zero are ignored. A
/// cone without interior has measure 0. `error` bounds the rounding errors.
void cone_measure(const RowMatrixView& rows, const WordMatrixView& words, Eigen::Ref<Vector> measure,
                  Eigen::Ref<Vector> error, int n_threads, Monitor& monitor);

}  // namespace cvxrelu
