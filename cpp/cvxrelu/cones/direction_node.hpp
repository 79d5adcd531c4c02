// A node of the search over directions: a cell (direction_box.hpp), the rows whose sign is undecided on it, and the sum
// of the convex rows at its vertices.
//
// On the cell f is convex.(u) - concave.(u): rows with s_j > 0 sum to a convex, the others to a concave function. A row
// whose sign does not change on the box is linear there and moves into one of two sums. Halving a box costs O(1) for a
// row that stays undecided, O(d) for one that leaves. The 2^m vertices, m = d - 1, are shared: both halves of a box
// take half of theirs from it, and the other half lies between them and is summed once.
//
// A box of fewer than four axes is taken to have four, the others of width zero, so that vertices come in whole
// vectors.
#pragma once

#include <vector>

#include "cvxrelu/base/cache_lines.hpp"
#include "cvxrelu/cones/direction_box.hpp"
#include "cvxrelu/cones/direction_rows.hpp"

namespace cvxrelu {

/// The rows in the padded form that a search reads, shared by its threads.
template <int P>
struct LaneRows {
  explicit LaneRows(const DirectionRows& from);
  int axes() const { return std::max(dimension - 1, 4); }  // of a box

  int dimension;
  std::vector<Direction<P>, Eigen::aligned_allocator<Direction<P>>> row;
  std::vector<double> square;
  std::vector<char> positive;
  Direction<P> linear;
  double error;
};

/// A linear function at the vertices of a box, as sums low + middle + high over three groups of axes.
struct alignas(kLineBytes) VertexParts {
  double low[8], middle[8];
};

/// What a node hands down whole.
template <int P>
struct DirectionFrame {
  static constexpr int kMostAxes = P - 1;

  Direction<P> convex_sum, concave_sum;  // rows that are decided and on
  Direction<P> middle, width;            // of the box, halved; along the face sigma and 0
  int face = 0, sign = 1, n_axes = 0;
  int axis[kMostAxes] = {};
};

template <int P>
struct DirectionNode : DirectionFrame<P> {
  using Frame = DirectionFrame<P>;
  using Frame::axis, Frame::concave_sum, Frame::convex_sum, Frame::face, Frame::middle, Frame::n_axes, Frame::sign,
      Frame::width;
  /// Undecided rows: z = a_j.(sigma, w) lies in [middle - range, middle + range] on the box.
  struct Row {
    int id;
    double middle, range, slope;  // slope of the line below (z)_+, for rows of the concave sum
  };

  /// Begins with a cell.
  void load(const LaneRows<P>& rows, const DirectionBox& box);
  /// Becomes the lower or upper half of `whole` along axis k, with half-way values from `whole.halfway(k)`.
  void become_half(const LaneRows<P>& rows, const DirectionNode& whole, int k, int side);
  /// Becomes `whole` with its convex row number t replaced by z, or by 0: (z)_+ is the larger of the two.
  void become_fixed(const LaneRows<P>& rows, const DirectionNode& whole, std::size_t t, bool on);
  /// The convex sum at the vertices of the slice through the middle across axis k.
  void halfway(const LaneRows<P>& rows, int k);
  /// The affine majorant of the convex sum whose slopes are a least-squares fit at the vertices: a form in u.
  Direction<P> majorant() const;

  std::vector<Row> convex, concave;
  LineVector<double> at, between;  // the convex sum at vertices, bit b of whose number tells the side along axis[b]

 private:
  void place(const LaneRows<P>& rows, const Row& row, bool is_convex);
  void sum_slice(const LaneRows<P>& rows, int k, int side);

  LineVector<VertexParts> parts_;  // of the convex rows, while they are summed
  std::vector<double> high_;
};

}  // namespace cvxrelu
