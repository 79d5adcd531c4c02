// Depth-first search of one cell of the sphere for f above a level, with bounds for what it leaves; the work of one
// task of direction_tree.hpp.
//
// Bound of a node. The convex sum is below its affine majorant, a row of the concave sum below a line, -(z)_+ <= -a z
// for every a in [0, 1]. What is left is a linear form, whose maximum over cone and ball is a scalar equation
// (direction_box.hpp). The a are inherited and improved by coordinate descent on the length of its dual,
// until the value of the relaxation is above the level, and the node is halved, or the bound is below it. The
// box is halved across the axis along which undecided rows change most.
//
// Where few convex rows are undecided, the node branches on a row instead: the convex sum is the largest of its linear
// pieces, so replacing (z)_+ by z and by 0 on the whole cell is exact, and k rows take at most 2^k nodes to
// a bound without error, when the box would have to be halved along all axes for every factor of two.
#pragma once

#include <algorithm>
#include <functional>
#include <limits>
#include <vector>

#include "cvxrelu/cones/direction_node.hpp"

namespace cvxrelu {

struct SearchLevels {
  double threshold = 0;  // f up to here is of no interest
  double accuracy = 0;   // nor is f within this of the best value, relative
  double value = 0;      // the best value found before
  double round = 0;      // boxes within this of the level wait for a later round
};

/// A unit vector, in the axes of the rows, and sign f there.
struct FoundDirection {
  double value = 0;
  int sign = 1;
  Vector point;
};

/// Directions that are apart from each other, the largest where there are too many.
struct FoundDirections {
  static constexpr std::size_t most = 256;
  std::vector<FoundDirection> list;

  void add(const FoundDirection& direction);
};

struct SearchOutcome {
  std::vector<DirectionBox> open;  // cells whose bound is above the level, with it
  double closed = 0;               // largest bound of the others
  FoundDirection best;             // where f is larger than was known; its point is empty where it nowhere is
  FoundDirections found;           // above the threshold
  Index n_nodes = 0;
};

template <int P>
class DirectionSearch {
 public:
  /// `stopped` is asked every 1e6 additions or so.
  DirectionSearch(const LaneRows<P>& rows, std::function<bool()> stopped);

  /// Searches a cell for at most `max_nodes` nodes, but for the end of what is at work then.
  SearchOutcome run(const DirectionBox& box, const SearchLevels& levels, Index max_nodes);

 private:
  using Node = DirectionNode<P>;
  double search(std::size_t depth, double inherited, bool whole);
  double bound(Node& node);
  void settle(const Node& node, double bound);
  void keep(const Node& node, double value);
  int widest(const Node& node) const;
  std::size_t widest_chord(const Node& node) const;
  double product(const typename Node::Row& row, const Direction<P>& v) const {
    return (rows_.row[static_cast<std::size_t>(row.id)] * v).sum();
  }
  double level() const {
    return std::max({levels_.threshold, (1 + levels_.accuracy) * best_, best_ + 4 * rows_.error});
  }
  double goal() const { return (1 + levels_.round) * level(); }

  const LaneRows<P>& rows_;
  std::function<bool()> stopped_;
  SearchLevels levels_;
  SearchOutcome outcome_;
  std::vector<Node> nodes_;
  Direction<P> point_;
  double best_ = 0, work_ = std::numeric_limits<double>::infinity();
  Index max_nodes_ = 0;
  bool out_ = false;  // of nodes, or of time
  // At the node that was bounded last: the slopes are farther from their best than the majorant, and would the
  // majorant alone keep the node open?
  bool slopes_matter_ = false, majorant_matters_ = false;
};

}  // namespace cvxrelu
