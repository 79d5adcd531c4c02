// Global pricing by subdivision of directions: nu = max over ||u|| <= 1 of |theta.(Xu)_+|, to a relative accuracy or to
// the decision that it is at most a threshold.
//
// The sphere is covered by the 2d faces of the cube, for either sign of theta; a cell is searched depth first
// (direction_search.hpp) until its bound is low enough for the round, and waits then for the next round of less
// tolerance. So there is a bound at any time. Cells are independent but for the best value found: they are
// searched in batches, each with the best value from before the batch and a limit on its nodes, and what a task leaves
// open joins the queue in the order of tasks. Results are the same bits whatever the number of threads, and never
// depend on the clock unless the monitor says stop.
//
// Nodes grow about fivefold with each dimension, hardly with n for d <= 5, at most linearly with the neurons of a
// trained network whose residual theta is. Memory: O(n) for each level of the recursion, few of which are near O(n),
// and 208 bytes for each of about 2^18 cells that wait, twice that while their list grows; beyond that cells are
// searched to the end at once.
#pragma once

#include <vector>

#include "cvxrelu/base/monitor.hpp"
#include "cvxrelu/cones/direction_search.hpp"

namespace cvxrelu {

struct DirectionSettings {
  double threshold = 0;      // a bound this low is low enough
  double accuracy = 1e-9;    // so is one within this of the best value, relative
  bool until_found = false;  // end soon after |f| was found to be above the threshold
  Index max_nodes = 1000000;
  int n_threads = 1;
};

struct DirectionRound {
  double tolerance = 0;  // of the round, relative
  double bound = 0;      // at its end
  Index n_nodes = 0;     // until then
};

struct DirectionResult {
  double bound = 0;  // nu <= bound
  double value = 0;  // the largest |theta.(Xu)_+| found
  Index n_nodes = 0;
  bool complete = false;              // the bound is low enough, or as low as rounding allows
  std::vector<FoundDirection> found;  // unit vectors u, apart from each other: the best, and others above the threshold
  std::vector<DirectionRound> rounds;
};

/// Most features that are not combinations of others.
constexpr Index kMostDirectionFeatures = kMostDirections;

/// `monitor` is told the nodes and the bound's excess; where it says stop, the bound so far is returned.
DirectionResult price_by_directions(const RowMatrixView& X, const VectorView& theta, const DirectionSettings& settings,
                                    Monitor& monitor);

}  // namespace cvxrelu
