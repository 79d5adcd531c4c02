#include "cvxrelu/arrangement/rows.hpp"

#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <stdexcept>

#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/masks/bits.hpp"

namespace cvxrelu {

namespace {

constexpr int kNone = std::numeric_limits<int>::min();

int exponent_of(double x) {
  if (x == 0) return kNone;
  int e = 0;
  std::frexp(x, &e);
  return e;
}

/// Exponents that bring the largest entry of every column to about one once the rows are brought there.
std::vector<int> balancing_exponents(const RowMatrixView& X) {
  std::vector<int> columns(static_cast<std::size_t>(X.cols()), kNone);
  for (Index j = 0; j < X.rows(); ++j) {
    int row = kNone;
    for (Index k = 0; k < X.cols(); ++k) row = std::max(row, exponent_of(X(j, k)));
    for (Index k = 0; k < X.cols(); ++k) {
      const int e = exponent_of(X(j, k));
      int& column = columns[static_cast<std::size_t>(k)];
      if (e != kNone) column = std::max(column, e - row);
    }
  }
  for (int& column : columns) column = column == kNone ? 0 : column;
  return columns;
}

/// Exponents of powers of two that bring the norms of the rows into (1/2, 1].
std::vector<int> row_exponents(const RowMatrixView& X, const std::vector<int>& column_exponent) {
  std::vector<int> rows(static_cast<std::size_t>(X.rows()), 0);
  Vector row(X.cols());
  for (Index j = 0; j < X.rows(); ++j) {
    int largest = kNone;
    for (Index k = 0; k < X.cols(); ++k) {
      const int e = exponent_of(X(j, k));
      if (e != kNone) largest = std::max(largest, e - column_exponent[static_cast<std::size_t>(k)]);
    }
    if (largest == kNone) continue;
    for (Index k = 0; k < X.cols(); ++k) {
      row[k] = std::ldexp(X(j, k), -column_exponent[static_cast<std::size_t>(k)] - largest);
    }
    int e = 0;
    const bool half = std::frexp(row.norm(), &e) == 0.5;
    rows[static_cast<std::size_t>(j)] = largest + e - half;
  }
  return rows;
}

RowMatrix scale(const RowMatrixView& X, const std::vector<int>& column_exponent, const std::vector<int>& row_exponent) {
  RowMatrix scaled(X.rows(), X.cols());
  for (Index j = 0; j < X.rows(); ++j) {
    for (Index k = 0; k < X.cols(); ++k) {
      scaled(j, k) = std::ldexp(X(j, k), -column_exponent[static_cast<std::size_t>(k) % column_exponent.size()] -
                                             row_exponent[static_cast<std::size_t>(j)]);
    }
  }
  return scaled;
}

/// Primitive integer multiples of the rows; empty when some row would need more than 50 bits.
RowMatrix integer_rows(const RowMatrixView& X, const std::vector<int>& column_exponent) {
  RowMatrix result = RowMatrix::Zero(X.rows(), X.cols());
  for (Index j = 0; j < X.rows(); ++j) {
    int lowest = std::numeric_limits<int>::max();
    for (Index k = 0; k < X.cols(); ++k) {
      int e = 0;
      const double m = std::frexp(X(j, k), &e);
      if (m == 0) continue;
      const int zeros = __builtin_ctzll(static_cast<unsigned long long>(static_cast<std::int64_t>(std::ldexp(m, 53))));
      lowest = std::min(lowest, e - 53 + zeros - column_exponent[static_cast<std::size_t>(k)]);
    }
    std::int64_t divisor = 0;
    for (Index k = 0; k < X.cols(); ++k) {
      if (X(j, k) == 0) continue;
      const double x = std::ldexp(X(j, k), -lowest - column_exponent[static_cast<std::size_t>(k)]);
      if (!(std::abs(x) <= 0x1p50)) return RowMatrix();
      result(j, k) = x;
      divisor = std::gcd(divisor, static_cast<std::int64_t>(x));
    }
    if (divisor > 1) result.row(j) /= static_cast<double>(divisor);
  }
  return result;
}

/// log2 of Hadamard's bound on the minors with fewer rows than the rank.
double minor_bits(const RowMatrix& integers) {
  std::vector<double> bits(static_cast<std::size_t>(integers.rows()));
  for (Index j = 0; j < integers.rows(); ++j) {
    const double norm = integers.row(j).norm();
    bits[static_cast<std::size_t>(j)] = norm > 0 ? std::log2(norm) : 0;
  }
  std::sort(bits.rbegin(), bits.rend());
  double sum = 0;
  for (Index k = 0; k + 1 < std::min(integers.rows(), integers.cols()); ++k) sum += bits[static_cast<std::size_t>(k)];
  return std::max(sum, bits.empty() ? 0 : bits[0]);
}

}  // namespace

ArrangementRows::ArrangementRows(const RowMatrixView& X, bool allow_integers, int n_parts)
    : n(static_cast<int>(X.rows())), n_features(static_cast<int>(X.cols()) / std::max(n_parts, 1)), parts(n_parts) {
  require(parts > 0 && X.cols() == Index{parts} * n_features, "X must have as many columns for each of its parts");
  require(X.rows() < (Index{1} << 24), "X must have fewer than 2^24 rows");
  choose_columns(X);
  if (allow_integers && parts == 1) choose_integers();
  const std::vector<int> exponents = row_exponents(original.leftCols(rank), column_exponent);
  scaled = scale(original.leftCols(rank), column_exponent, exponents);
  rest = scale(original.rightCols(Index{parts - 1} * rank), column_exponent, exponents);
  row_error = parts > 1 ? 0x1.01p-53 : 0;

  std::mt19937_64 random(20231210);
  flag.resize(2 * rank, rank);
  for (Index q = 0; q < flag.rows(); ++q) {
    for (Index k = 0; k < rank; ++k) {
      // An odd multiple of 2^-53 below 1/8 in absolute value, so that 62 of them have norm below one.
      const auto value = static_cast<std::int64_t>(random() >> 13) - (std::int64_t{1} << 50);
      flag(q, k) = std::ldexp(static_cast<double>(value | 1), -53);
    }
  }
  if (rank > 0) exact = std::make_unique<ExactMinors>(original, column_exponent, flag);

  all.assign(static_cast<std::size_t>(words_for(n)), 0);
  zero = all;
  for (int j = 0; j < n; ++j) {
    const bool is_zero = (X.row(j).array() == 0).all();
    (is_zero ? zero : all)[static_cast<std::size_t>(j / 64)] |= Word{1} << (j % 64);
  }
}

void ArrangementRows::choose_columns(const RowMatrixView& X) {
  const auto lead = X.leftCols(n_features);
  const std::vector<int> exponents = balancing_exponents(lead);
  const Eigen::ColPivHouseholderQR<Matrix> qr(scale(lead, exponents, row_exponents(lead, exponents)));
  std::vector<int> order(static_cast<std::size_t>(n_features));
  for (int k = 0; k < n_features; ++k) {
    order[static_cast<std::size_t>(k)] = static_cast<int>(qr.colsPermutation().indices()[k]);
  }
  columns = ExactMinors(X, exponents, RowMatrix()).basis_columns(order);
  std::sort(columns.begin(), columns.end());
  rank = static_cast<int>(columns.size());
  if (rank > kMaxRank) throw std::overflow_error("X must have rank at most 62: there are at least 2^rank cells");
  original.resize(n, Index{parts} * rank);
  for (int part = 0; part < parts; ++part) {
    for (int k = 0; k < rank; ++k) {
      original.col(part * rank + k) = X.col(part * n_features + columns[static_cast<std::size_t>(k)]);
    }
  }
  column_exponent = balancing_exponents(original.leftCols(rank));
}

void ArrangementRows::choose_integers() {
  const std::vector<int> balanced = column_exponent, plain(static_cast<std::size_t>(rank), 0);
  double fewest_bits = 50;
  for (const auto& exponent : {plain, balanced}) {
    RowMatrix candidate = integer_rows(original, exponent);
    const double bits = candidate.size() > 0 ? minor_bits(candidate) : 51;
    if (bits >= fewest_bits) continue;
    fewest_bits = bits;
    integers = std::move(candidate);
    column_exponent = exponent;
    arithmetic = bits <= 11 ? Arithmetic::kSingle : bits <= 25 ? Arithmetic::kDouble : Arithmetic::kWide;
    row_bound = 1.001 * std::max(1.0, integers.rowwise().norm().maxCoeff());
  }
}

}  // namespace cvxrelu
