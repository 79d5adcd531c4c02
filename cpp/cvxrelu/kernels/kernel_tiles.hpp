// How a kernel matrix is cut into pieces of work, shared by its kinds.
#pragma once

#include <algorithm>

#include "cvxrelu/base/interruptible.hpp"

namespace cvxrelu::detail {

struct Tile {
  Index row, rows, col, cols;
};

/// Calls f(tile, thread) for tiles that cover an m x n matrix or, when it is symmetric, its part on and below the
/// diagonal (and what of the upper part the tiles on the diagonal hold). `work` is that of one entry in multiply-adds.
template <class F>
void for_each_tile(Index m, Index n, bool symmetric, Index tile_rows, Index tile_cols, double work, int threads,
                   Monitor& monitor, F&& f) {
  const Index across = (n + tile_cols - 1) / tile_cols, down = (m + tile_rows - 1) / tile_rows;
  const double total = work * static_cast<double>(m) * static_cast<double>(n) / (symmetric ? 2 : 1);
  interruptible_tasks(across * down, worthwhile_threads(total, threads), monitor, [&](Index task, int thread) {
    Tile tile;
    tile.col = task % across * tile_cols;
    tile.cols = std::min(tile_cols, n - tile.col);
    tile.row = task / across * tile_rows;
    const Index end = std::min(m, tile.row + tile_rows);
    if (symmetric) tile.row = std::max(tile.row, tile.col);
    tile.rows = end - tile.row;
    if (tile.rows > 0) f(tile, thread);
  });
}

/// Writes a tile into a symmetric matrix: what lies on or below the diagonal, and its mirror image. That for some
/// columns at a time, so that whole lines are read and written.
template <class Values>
void write_symmetric(const Tile& tile, const Values& values, Eigen::Ref<RowMatrix> out) {
  for (Index i = 0; i < tile.rows; ++i) {
    const Index row = tile.row + i, count = std::min(tile.cols, row + 1 - tile.col);
    std::copy_n(&values(i, 0), count, &out(row, tile.col));
  }
  constexpr Index kColumns = 8;
  const auto first_row = [&](Index j) { return std::clamp<Index>(tile.col + j - tile.row, 0, tile.rows); };
  const auto mirror = [&](Index j, Index begin, Index end) {
    double* target = &out(tile.col + j, tile.row);
    for (Index i = begin; i < end; ++i) target[i] = values(i, j);
  };
  Index j = 0;
  for (; j + kColumns <= tile.cols; j += kColumns) {
    const Index common = first_row(j + kColumns - 1);
    for (Index k = 0; k < kColumns; ++k) mirror(j + k, first_row(j + k), common);
    double* target = &out(tile.col + j, tile.row);
    for (Index i = common; i < tile.rows; ++i) {
      for (Index k = 0; k < kColumns; ++k) target[k * out.outerStride() + i] = values(i, j + k);
    }
  }
  for (; j < tile.cols; ++j) mirror(j, first_row(j), tile.rows);
}

}  // namespace cvxrelu::detail
