#include "cvxrelu/cones/direction_rows.hpp"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <numeric>

#include "cvxrelu/algebra/row_norms.hpp"
#include "cvxrelu/cones/direction_box.hpp"

namespace cvxrelu {

namespace {

constexpr double kUnit = 0x1p-53;         // relative error of a sum or product
constexpr double kTooShort = 0x1p-400;    // for squares of rows
constexpr double kAlmostNothing = 1e-11;  // of the size of all rows
constexpr Index kRoundingsOfANode = 512;  // in what a node adds to its sums, per entry: depth, vertices, slopes

// Whether the first entry that is not zero is negative: such a row is turned to meet its opposite.
bool points_back(const RowMatrixView& X, Index j) {
  for (Index k = 0; k < X.cols(); ++k)
    if (X(j, k) != 0) return X(j, k) < 0;
  return false;
}

struct Merged {
  std::vector<Index> row;      // one of each class of rows that are equal up to sign
  std::vector<double> weight;  // the sum of theta over it
  Vector linear;
};

Merged merged(const RowMatrixView& X, const VectorView& theta) {
  std::vector<double> turn(static_cast<std::size_t>(X.rows()));
  std::vector<Index> order;
  for (Index j = 0; j < X.rows(); ++j) {
    turn[static_cast<std::size_t>(j)] = points_back(X, j) ? -1 : 1;
    if (theta[j] != 0) order.push_back(j);
  }
  const auto entry = [&](Index j, Index k) { return turn[static_cast<std::size_t>(j)] * X(j, k); };
  const auto compare = [&](Index i, Index j) {
    for (Index k = 0; k < X.cols(); ++k)
      if (entry(i, k) != entry(j, k)) return entry(i, k) < entry(j, k) ? -1 : 1;
    return 0;
  };
  std::sort(order.begin(), order.end(), [&](Index i, Index j) {
    const int before = compare(i, j);
    return before < 0 || (before == 0 && i < j);
  });
  Merged classes;
  classes.linear = Vector::Zero(X.cols());
  for (std::size_t t = 0; t < order.size();) {
    const Index first = order[t];
    double weight = 0;
    for (; t < order.size() && compare(first, order[t]) == 0; ++t) {
      const Index j = order[t];
      weight += theta[j];
      if (turn[static_cast<std::size_t>(j)] != turn[static_cast<std::size_t>(first)])
        classes.linear += theta[j] * X.row(j).transpose();
    }
    classes.row.push_back(first);
    classes.weight.push_back(weight);
  }
  return classes;
}

}  // namespace

DirectionRows::DirectionRows(const RowMatrixView& X, const VectorView& theta, double negligible) {
  const Index d = X.cols();
  const Merged classes = merged(X, theta);
  const double size = row_norms(X).dot(theta.cwiseAbs());
  RowMatrix weighted(static_cast<Index>(classes.row.size()), d);
  Index n = 0;
  for (std::size_t t = 0; t < classes.row.size(); ++t) {
    weighted.row(n) = std::abs(classes.weight[t]) * X.row(classes.row[t]);
    const double square = weighted.row(n).squaredNorm();
    if (square < kTooShort) {
      error += std::sqrt(static_cast<double>(d)) * weighted.row(n).cwiseAbs().maxCoeff();
      continue;
    }
    positive.push_back(classes.weight[t] > 0);
    ++n;
  }
  weighted.conservativeResize(n, d);

  const Eigen::SelfAdjointEigenSolver<Matrix> spectrum(weighted.transpose() * weighted);
  axes = spectrum.eigenvectors().rowwise().reverse();  // the longest first
  const double dimensions = static_cast<double>(d);
  const double defect = (axes.transpose() * axes - Matrix::Identity(d, d)).norm() + 4 * dimensions * dimensions * kUnit;
  rows = weighted * axes;
  linear = axes.transpose() * classes.linear;

  // Axes that only rounding has filled, or next to nothing: the more so where there would be too many of them.
  const auto nothing = [&](Index axes) {
    return std::max(negligible, size * (axes > kMostDirections ? kAlmostNothing : dimensions * kUnit));
  };
  const Vector along = rows.cwiseAbs().colwise().sum().transpose() + linear.cwiseAbs();
  Index kept = d;
  double left_out = 0;
  while (kept > 1 && left_out + along[kept - 1] <= nothing(kept)) {
    left_out += along[kept - 1];
    --kept;
  }
  rows = RowMatrix(rows.leftCols(kept));
  axes = Matrix(axes.leftCols(kept));
  linear = Vector(linear.head(kept));
  const double roundings = static_cast<double>(X.rows() + 64 * d + kRoundingsOfANode);
  error += left_out + (2 * defect + kUnit * roundings * std::sqrt(dimensions)) * size;
}

}  // namespace cvxrelu
