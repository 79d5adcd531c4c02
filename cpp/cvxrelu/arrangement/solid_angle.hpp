// Gaussian measure P[h in K] of pointed cones K = {u : n_j.u >= 0 for all j} in R^4 and R^5: the volume of the
// spherical polytope K over that of the sphere, as a sum of one-dimensional integrals.
//
// From a point g drop perpendiculars to a facet, from its foot to a ridge, and so on down to the edges. This cuts the
// polytope into signed orthoschemes (Schlaefli 1858; Coxeter 1935), wherever g is, as long as K is in the half-space
// g.u >= 0: so it is for non-negative combinations of the n_j. With h_1, h_2, ... the lengths of the perpendiculars,
// each integrated out from its foot, there remain for every edge of every flag, over the azimuth phi,
//   R^4:  int G(psi) dphi,  G(psi) = (atan(T) - c atan(T / c)) / 2,
//   R^5:  int [G(e) - cos(chi) G(psi) + tan(e) (L(cos e) - L(c))] dphi,
//         G(psi) = (psi - atan(s / w) - s c (1 - c / w)) / 3,  L(c) = c^2 (1 - c / w) / 3,  w = sqrt(T^2 + c^2),
// with T = tan h_1, tan e = tan h_2 / sin h_1, c = cos psi, s = sin psi; in R^4 tan psi = tan e / cos phi; in R^5
// tan psi = tan e / cos chi, tan chi = tan a / cos phi, tan a = tan h_3 / sin h_2. The integrands are smooth and are
// integrated adaptively by the Gauss-Kronrod rule with 7 and 15 nodes, whose difference is the error estimate.
//
// The error also has what rounding moves the corners of the orthoschemes by, times the largest share that a facet can
// have of its sphere. Where rows or faces are nearly parallel that is much more than rounding: then the cone is
// measured again with perpendiculars of 128 bits.
//
// No face lattice is needed: of a face that is not there nothing is left after clipping. Rows that become parallel on
// a face (to 1e-12, or 1e-30) count once. Time O(n^3) in R^4 and O(n^4) in R^5 for each cone, memory O(n).
#pragma once

#include "cvxrelu/base/monitor.hpp"
#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

/// `rows` (n, r), r = 4 or 5, of rank r, taken as exact; bit j of `words` is the sign s_j of row j in the cone;
/// `weights` (p, n), not negative: g is the sum of weights times s_j a_j / ||a_j||, best the point nearest to 0 of
/// their convex hull. Rows that are zero are ignored. A cone without interior has measure 0.
void solid_angles(const RowMatrixView& rows, const WordMatrixView& words, const RowMatrixView& weights,
                  Eigen::Ref<Vector> measure, Eigen::Ref<Vector> error, int n_threads, Monitor& monitor);

}  // namespace cvxrelu
