// Gaussian data with patterns of Gaussian gates, for all microbenchmarks.
#pragma once

#include <random>

#include "cvxrelu/base/monitor.hpp"
#include "cvxrelu/base/types.hpp"
#include "cvxrelu/masks/bits.hpp"

namespace cvxrelu::bench {

inline RowMatrix gaussian(Index rows, Index columns, unsigned seed) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<double> normal;
  return RowMatrix::NullaryExpr(rows, columns, [&] { return normal(generator); });
}

struct Data {
  RowMatrix X;
  Matrix y;
  WordMatrix words;
  Monitor monitor;

  Data(Index n, Index d, Index p) : X(gaussian(n, d, 1)), words(p, words_for(n)) {
    const RowMatrix gates = gaussian(p, d, 2);
    Vector margin(p);
    pack_patterns(X, gates, words, margin, 1, monitor);
    const Matrix weights = gaussian(d, 10, 3) / std::sqrt(static_cast<double>(d));
    y = (X * weights).cwiseMax(0.0) * gaussian(10, 1, 4) + 0.1 * gaussian(n, 1, 5);
  }
};

}  // namespace cvxrelu::bench
