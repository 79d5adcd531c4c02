// The rows that matter near a point, where there are many: for points g within a radius of a center c of norm one,
// |a.g - a.c| <= radius ||a||, so that all other rows have the sign on g that they have on c. O(n r) for a center.
#pragma once

#include <vector>

#include "cvxrelu/algebra/lanes.hpp"
#include "cvxrelu/arrangement/rows.hpp"

namespace cvxrelu {

class NearRows {
 public:
  explicit NearRows(const ArrangementRows& rows);

  /// Takes the rows that may vanish within the radius, with their signs in the mask. Only the chosen rows limit how far
  /// one can go.
  void gather(const double* center, double radius, const Word* mask, const Word* chosen);
  /// The mask has changed in these bits of a word.
  void turn(int w, Word bits);
  /// The largest t for which all chosen rows have one sign from `from` to from + t direction. The `n_except` rows in
  /// `except` may change theirs.
  double reach(const double* from, const double* direction, const int* except, int n_except);

  /// Whether a point is within the radius.
  bool covers(const double* point) const;
  /// Whether all rows that are not near have the signs of the mask, within the radius.
  bool far_rows_agree(const Word* mask) const;
  int size() const { return static_cast<int>(rows_near_.size()); }
  int row(int position) const { return rows_near_[static_cast<std::size_t>(position)]; }
  const double* const* columns() const { return columns_.data(); }
  /// The signs of the near rows in the mask.
  const Word* signs() const { return signs_.data(); }

 private:
  int position(int row) const;

  const ArrangementRows& rows_;
  Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic> units_;  // rows of norm one, padded
  std::vector<const float*> unit_columns_;
  std::vector<double> center_;
  double square_ = 0;             // of the radius, or a little less
  std::vector<Word> near_, far_;  // masks of rows
  std::vector<Word> sides_;       // of the far rows
  std::vector<int> before_;       // near rows before a word
  std::vector<int> rows_near_;
  std::vector<Word> signs_, chosen_, allowed_;
  Matrix lanes_;  // of the near rows, padded
  std::vector<const double*> columns_;
};

}  // namespace cvxrelu
