// Global pricing without enumeration: nu = max over ||u|| <= 1 of theta.(Xu)_+ by branch and bound.
//
// Terms with theta_j < 0 are concave; a node fixes the signs of some x_j.u with theta_j > 0 and bounds the other such
// terms by the chord of (.)_+ over the range of x_j.u in the node, which two cone projections give. What is left is
// concave, and its dual is a least-squares problem with bounds (box_least_squares.hpp),
//
//     max_u a + c.u - sum_j w_j (x_j.u)_+   =   a + min ||c - sum_j mu_j x_j + sum_k lambda_k s_k x_k||,
//
// 0 <= mu_j <= w_j, lambda >= 0, of which every feasible point is a valid bound. Nodes are taken best first.
// A node costs O(n) projections of a few microseconds in small d, and O(n) bytes while it waits.
#pragma once

#include <vector>

#include "cvxrelu/base/monitor.hpp"
#include "cvxrelu/cones/cone.hpp"

namespace cvxrelu {

struct TreeSettings {
  double threshold = 0;   // nodes whose bound is at most this are not worth a look
  double enough = 1e300;  // the search ends when it finds more than this
  Index max_nodes = 1000000;
  double max_seconds = 1e300;
};

struct TreeResult {
  double bound = 0;  // nu <= bound
  double value = 0;  // the largest theta.(Xu)_+ found, and where
  Vector point;
  Index n_nodes = 0;
  bool complete = false;  // the bound is at most the threshold, or within rounding and 1e-9 of the value
};

TreeResult price_by_tree(const RowMatrixView& X, const VectorView& theta, const TreeSettings& settings,
                         Monitor& monitor);

}  // namespace cvxrelu
