// Gaussian measure P[h in K] of the cones K = {u : s_j a_j.u >= 0 for all j} of an arrangement of rank 2 or 3, for a
// standard Gaussian h: an angle over 2 pi, or the area of a spherical polygon over 4 pi.
//
// With an interior point g, the facets of K are the vertices of the convex hull of the points n_j / (n_j.g) in the
// plane n.g = 1, n_j = s_j a_j. They are found by gift wrapping; the area is summed over the triangles that g spans
// with the edges, with the formula of Van Oosterom and Strackee (IEEE Trans. Biomed. Eng. 30, 1983), which keeps the
// relative accuracy of small triangles. Time O(n) in rank 2 and O(n facets) in rank 3 for each cone, memory O(n).
#pragma once

#include "cvxrelu/base/monitor.hpp"
#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

/// `rows` (n, r) in orthonormal coordinates of their span, r = 2 or 3; `gates` (p, r) inside the cones; bit j of
/// `words` is s_j. Rows that are zero are ignored. A cone whose gate is not inside to float64 accuracy has measure 0.
void cone_measure(const RowMatrixView& rows, const WordMatrixView& words, const RowMatrixView& gates,
                  Eigen::Ref<Vector> measure, int n_threads, Monitor& monitor);

}  // namespace cvxrelu
