// Local pricing over all cells: walks that increase max s theta.(Xu)_+ over ||u|| <= 1 from cell to cell. In a closed
// cell the maximum is ||P_K(s X'D theta)||, attained at the projection (cone.hpp); a walk crosses the rows that are
// tight there, all at once or the best single one, until neither improves. Monotone, so it ends, at a local maximum.
//
// A projection or two for each row of the support and step; nothing but the current cell is kept.
#pragma once

#include <random>
#include <vector>

#include "cvxrelu/cone.hpp"
#include "cvxrelu/monitor.hpp"

namespace cvxrelu {

struct WalkEnd {
  double norm = 0;  // ||P_K(s X'D theta)||
  int sign = 1;
  std::vector<Word> pattern;
  Vector point;  // of length 1, where the maximum is attained; empty when it is 0
};

class CellWalk {
 public:
  CellWalk(const RowMatrixView& X, const UnitRows& rows);

  /// Walks from the cell of `start`.
  WalkEnd run(const VectorView& theta, int sign, const VectorView& start, Monitor& monitor);

 private:
  struct Cell {
    std::vector<Word> pattern;
    Vector correlation;  // s X'D theta
    double norm = 0;
    std::vector<Index> support;
    Vector point;
  };
  Vector correlation(const std::vector<Word>& pattern) const;
  Cell crossed(const Cell& from, const std::vector<Index>& rows);
  void evaluate(Cell& cell);

  RowMatrixView X_;
  const UnitRows& rows_;
  ConeProjector projector_;
  Vector signed_theta_;
  ConePool pool_;  // of the current cell: the signs of crossed rows are turned
};

/// Runs walks with both signs from each row of `starts`; returns the distinct patterns whose norm is above
/// `threshold`, best first, and in `best` the largest norm found at all.
std::vector<WalkEnd> walk_cells(const RowMatrixView& X, const UnitRows& rows, const VectorView& theta,
                                const RowMatrixView& starts, double threshold, Monitor& monitor, double& best);

/// A gate in the interior of each pattern's cell, of the largest margin min_j |x_j.g| / ||x_j|| for its length: the
/// shortest vector with margin 1, a least-distance problem. Zero where the cell has no interior that floating point
/// can see.
RowMatrix interior_gates(const RowMatrixView& X, const WordMatrixView& words, Monitor& monitor);

}  // namespace cvxrelu
