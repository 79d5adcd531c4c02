// Local pricing over all cells: walks that increase max s theta.(Xu)_+ over ||u|| <= 1. They begin with a few steps of
// ascent on the sphere, O(n d) each, which pass many cells at once, and go on from cell to cell: in a closed cell the
// maximum is ||P_K(s X'D theta)||, attained at the projection (cone.hpp); a walk crosses the rows that are tight there,
// all at once or the best single one, until neither improves. Monotone, so it ends, at a local maximum.
//
// A projection or two for each row of the support and step; nothing but the current cell is kept.
#pragma once

#include <chrono>
#include <vector>

#include "cvxrelu/base/monitor.hpp"
#include "cvxrelu/cones/cone.hpp"

namespace cvxrelu {

struct WalkEnd {
  double norm = 0;  // ||P_K(s X'D theta)||
  int sign = 1;
  std::vector<Word> pattern;
  Vector point;  // of length 1, where the maximum is attained; empty when it is 0
};

class CellWalk {
 public:
  using Clock = std::chrono::steady_clock;

  CellWalk(const RowMatrixView& X, const UnitRows& rows);

  /// Walks from near `start`, until no step improves or the deadline has passed.
  WalkEnd run(const VectorView& theta, int sign, const VectorView& start, Clock::time_point deadline, Monitor& monitor);

 private:
  struct Cell {
    std::vector<Word> pattern;
    Vector correlation;  // s X'D theta
    double norm = 0;
    std::vector<Index> support;
    Vector point;
  };
  Vector ascended(const VectorView& start) const;
  Vector correlation(const std::vector<Word>& pattern) const;
  Cell crossed(const Cell& from, const std::vector<Index>& rows, double threshold);
  void evaluate(Cell& cell, double threshold);

  RowMatrixView X_;
  ConeProjector projector_;
  Vector signed_theta_;
  ConePool pool_;  // of the current cell: the signs of crossed rows are turned
};

/// Runs walks from each row of `starts`, with its sign where `signs` has it (an entry per start, 0 for both) and with
/// both otherwise; returns the distinct patterns whose norm is above `threshold`, best first, and in `best` the largest
/// norm found at all. After `max_seconds` walks end where they are, and none begins.
std::vector<WalkEnd> walk_cells(const RowMatrixView& X, const UnitRows& rows, const VectorView& theta,
                                const RowMatrixView& starts, const std::vector<int>& signs, double threshold,
                                double max_seconds, Monitor& monitor, double& best);

/// For each pattern the shortest z with s_j x_j.z >= bounds(i, j), bounds >= 0 and not all 0; zero where there is none
/// that floating point can see. With bounds ||x_j|| it points to where the cell is widest: a gate in its interior.
RowMatrix least_distance(const RowMatrixView& X, const WordMatrixView& words, const RowMatrixView& bounds,
                         Monitor& monitor);

}  // namespace cvxrelu
