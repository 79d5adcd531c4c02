// Least squares with bounds, min ||c + A x|| over 0 <= x_j <= w_j, w_j possibly infinite, for few rows and columns of
// unit length: the active-set method of Stark and Parker (1995). Every iterate is feasible, so every norm on the way is
// an upper bound on the minimum. O(d m) for a step over m columns.
#pragma once

#include <vector>

#include "cvxrelu/algebra/thin_qr.hpp"

namespace cvxrelu {

class BoxLeastSquares {
 public:
  explicit BoxLeastSquares(Index d) : d_(d), qr_(d), components_(d), x_(d + 1), trial_(d + 1), base_(d), point_(d) {}

  /// Columns of A are sign * column; a caller may clear and refill them.
  void clear();
  void add(double sign, const double* column, double upper);

  /// Minimises, or stops when the norm is at most `threshold`. Returns the norm of `point()`, plus a bound on the
  /// rounding errors in it.
  double solve(const VectorView& c, double threshold);
  const Vector& point() const { return point_; }

 private:
  enum class At : unsigned char { lower, free, upper };
  struct Column {
    const double* data;
    double sign, upper;
    At at;
  };
  bool release(std::size_t j);
  void remove(std::size_t position);
  void advance();
  double product(const Column& column) const;

  Index d_;
  std::vector<Column> columns_;
  std::vector<std::size_t> free_;
  ThinQr qr_;
  Vector components_, x_, trial_, base_, point_;
};

}  // namespace cvxrelu
