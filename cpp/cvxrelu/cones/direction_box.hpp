// Cells of the sphere for a search over directions: a face of the cube and a box on it,
//
//     {t (sigma e_face + w) : t >= 0, w in [lo, hi], w_face = 0},
//
// and the maximum of a linear form over such a cone and the unit ball. Vectors have P entries, zero beyond the
// dimension.
#pragma once

#include <algorithm>
#include <cmath>

#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

template <int P>
using Direction = Eigen::Array<double, P, 1>;

constexpr int kMostDirections = 12;  // dimensions of a search

/// A cell that waits, or is worked on, for one sign of the function. Along the face lo = hi = sigma.
struct DirectionBox {
  int face = 0;
  int sign = 1;
  double bound = 0;  // of the function there
  double lo[kMostDirections] = {}, hi[kMostDirections] = {};
};

/// The largest g.u over the unit vectors u of a cone.
template <int P>
struct ConeMaximum {
  Direction<P> point;  // u, where g.u is largest
  Direction<P> form;   // p with p.v >= g.v on the cone: |p| is a bound, whatever the iteration came to
  double bound = 0;

  /// A maximiser is w = clip(g / kappa, lo, hi) with g.(sigma, w) = kappa |(sigma, w)|^2, up to its length: a scalar
  /// equation, solved by Newton's method on the entries that are clipped, within a bracket. Entries that are clipped
  /// are the multipliers of their faces. O(P) for an iteration, of which three to six are usual.
  void find(const Direction<P>& g, const Direction<P>& lo, const Direction<P>& hi, int face) {
    const double length = std::sqrt(g.square().sum()) + 1e-300, sigma = lo[face];
    double below = 0, above = length, kappa = std::clamp(sigma * g[face], 1e-3 * length, length);
    Direction<P> free, w, clipped;
    for (int iteration = 0; iteration < 60; ++iteration) {
      free = g / kappa;
      w = free.max(lo).min(hi);
      clipped = (free > lo && free < hi).select(Direction<P>::Zero(), w);
      const double gw = (g * w).sum(), ww = w.square().sum();
      (gw > kappa * ww ? below : above) = kappa;
      double next = (g * clipped).sum() / clipped.square().sum();
      if (std::abs(next - kappa) <= 1e-15 * kappa) break;
      if (!(next > below && next < above)) next = 0.5 * (below + above);
      kappa = next;
      if (kappa < 1e-12 * length) break;
    }
    free = g / kappa;
    w = free.max(lo).min(hi);
    Direction<P> multipliers = (free > lo && free < hi).select(Direction<P>::Zero(), g - kappa * w);
    multipliers[face] = 0;
    form = g - multipliers;
    form[face] = sigma * std::max(0.0, sigma * g[face] + (multipliers * w).sum());
    bound = std::sqrt(form.square().sum());
    point = w / std::sqrt(w.square().sum());
  }
};

}  // namespace cvxrelu
