// Signs of determinants that floating point can tell for certain, many times as fast as exact minors.
//
// Elimination with pivots turns A into U, and I into a product M of a unit triangular matrix and a permutation; let Y
// be the inverse of U, all as computed. Where ||M A Y - I|| < 1 the determinant of M A Y is positive, since no matrix
// is singular on the line from there to I, and those of M and Y are seen from the permutation and the diagonal (Rump,
// Verification methods, 2010). M A Y is computed with a bound on its rounding, so nothing need be known of how M and Y
// came about. O(r^3).
#pragma once

#include <algorithm>
#include <cmath>

#include "cvxrelu/algebra/lanes.hpp"
#include "cvxrelu/arrangement/node.hpp"

namespace cvxrelu {

class DeterminantFilter {
 public:
  /// Of r rows, whose entries may be wrong by `entry_error` each.
  DeterminantFilter(int r, double entry_error)
      : r_(r), stride_(padded(r, kLanes<double>)), entry_error_(std::max(1e-300, entry_error)) {
    const auto size = static_cast<std::size_t>(r_ * stride_);
    for (Table* table : {&rows_, &upper_, &steps_, &inverse_, &left_}) table->assign(size, 0);
    sums_.assign(static_cast<std::size_t>(stride_), 0);
    bounds_.assign(static_cast<std::size_t>(stride_), 0);
  }

  /// Where row i goes.
  double* row(int i) { return at(rows_, i); }

  /// The sign, or 0 where it is open.
  int sign() {
    int sign = eliminate();
    if (sign == 0) return 0;
    invert();
    for (int i = 0; i < r_; ++i) sign = at(inverse_, i)[i] < 0 ? -sign : sign;
    return is_nearly_one() ? sign : 0;
  }

 private:
  using Table = LineVector<double>;

  double* at(Table& table, int i) const { return table.data() + static_cast<Index>(i) * stride_; }

  void add(double* target, double factor, const double* source) const {
    for (int c = 0; c < stride_; c += kLanes<double>) {
      store(target + c, load(target + c) + broadcast(factor) * load(source + c));
    }
  }

  /// Sets row i of `product` to factors times rows, those from `first` on.
  void multiply(const double* factors, int first, Table& rows, double* product) const {
    std::fill_n(product, stride_, 0.0);
    for (int k = first; k < r_; ++k) add(product, factors[k], at(rows, k));
  }

  /// Turns the rows into U, and I into M; returns the sign of the permutation, or 0 without a pivot.
  int eliminate() {
    int sign = 1;
    upper_ = rows_;
    std::fill(steps_.begin(), steps_.end(), 0);
    for (int k = 0; k < r_; ++k) at(steps_, k)[k] = 1;
    for (int k = 0; k < r_; ++k) {
      int pivot = k;
      for (int i = k + 1; i < r_; ++i) {
        if (std::abs(at(upper_, i)[k]) > std::abs(at(upper_, pivot)[k])) pivot = i;
      }
      const double* top = at(upper_, k);
      if (!(std::abs(at(upper_, pivot)[k]) > 1e-100)) return 0;
      if (pivot != k) {
        for (Table* table : {&upper_, &steps_}) {
          std::swap_ranges(at(*table, k), at(*table, k) + stride_, at(*table, pivot));
        }
        sign = -sign;
      }
      for (int i = k + 1; i < r_; ++i) {
        double* row = at(upper_, i);
        const double factor = -row[k] / top[k];
        add(row, factor, top);
        add(at(steps_, i), factor, at(steps_, k));
        row[k] = 0;
      }
    }
    return sign;
  }

  /// The inverse of U, row by row from the last one.
  void invert() {
    for (int i = r_ - 1; i >= 0; --i) {
      const double* factors = at(upper_, i);
      double* row = at(inverse_, i);
      multiply(factors, i + 1, inverse_, row);
      const double scale = -1 / factors[i];
      for (int c = 0; c < stride_; c += kLanes<double>) store(row + c, broadcast(scale) * load(row + c));
      row[i] = -scale;
    }
  }

  /// Whether ||M A Y - I|| < 1, in the norm of the largest sum in a row.
  bool is_nearly_one() {
    double total_sum = 0;
    for (int k = 0; k < r_; ++k) {
      double sum = 0;
      for (int c = 0; c < r_; ++c) sum += std::abs(at(inverse_, k)[c]);
      sums_[static_cast<std::size_t>(k)] = sum;
      total_sum += sum;
    }
    // Products of r terms are good to r u of those of the absolute values, and there are two in a row; what underflows
    // is less than the least error of an entry.
    const double rounding = (2 * r_ + 8) * kRoundoff;
    for (int k = 0; k < r_; ++k) {
      double sum = 0;
      for (int c = 0; c < r_; ++c) sum += std::abs(at(rows_, k)[c]) * sums_[static_cast<std::size_t>(c)];
      bounds_[static_cast<std::size_t>(k)] = rounding * sum + entry_error_ * total_sum;
    }
    double* product = at(upper_, 0);  // no longer needed
    for (int i = 0; i < r_; ++i) {
      const double* steps = at(steps_, i);
      double off = 0;
      for (int k = 0; k < r_; ++k) off += std::abs(steps[k]) * bounds_[static_cast<std::size_t>(k)];
      multiply(steps, 0, rows_, at(left_, i));
      multiply(at(left_, i), 0, inverse_, product);
      for (int c = 0; c < r_; ++c) off += std::abs(product[c] - (c == i));
      if (!(off < 0.9)) return false;
    }
    return true;
  }

  const int r_, stride_;
  const double entry_error_;
  Table rows_, upper_, steps_, inverse_, left_;
  Table sums_, bounds_;
};

}  // namespace cvxrelu
