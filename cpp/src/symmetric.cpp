#include "cvxrelu/symmetric.hpp"

#include <Eigen/Cholesky>
#include <algorithm>

#include "cvxrelu/parallel.hpp"

namespace cvxrelu {

namespace {

constexpr Index kTile = 128;
constexpr double kPollFlops = 5e8;      // some 30 ms of a core
constexpr double kParallelFlops = 4e6;  // below, waking a thread costs more than it saves

// Runs task(first, size) for tiles of [0, n), asking the monitor after every so many flops.
template <class F>
void for_tiles(Index n, Index tile, double flops, int n_threads, Monitor& monitor, F&& task) {
  const Index tiles = (n + tile - 1) / tile;
  const int threads = flops < kParallelFlops ? 1 : n_threads;
  const Index batch =
      std::max<Index>(threads, static_cast<Index>(static_cast<double>(tiles) * kPollFlops / (flops + 1)));
  for (Index begin = 0; begin < tiles; begin += batch) {
    parallel_tasks(std::min(batch, tiles - begin), threads, [&](Index k, int) {
      const Index first = (begin + k) * tile;
      task(first, std::min(tile, n - first));
    });
    monitor.poll();
  }
}

}  // namespace

void add_outer_product(const MatrixView& A, double factor, Eigen::Ref<Matrix> S, int n_threads, Monitor& monitor) {
  const Index n = A.rows();
  const double flops = static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(A.cols());
  for_tiles(n, kTile, flops, n_threads, monitor, [&](Index first, Index size) {
    S.block(first, first, n - first, size).noalias() +=
        factor * A.bottomRows(n - first) * A.middleRows(first, size).transpose();
  });
}

bool cholesky(Eigen::Ref<Matrix> S, int n_threads, Monitor& monitor) {
  const Index n = S.rows();
  for (Index first = 0; first < n; first += kTile) {
    const Index size = std::min(kTile, n - first), rest = n - first - size;
    Eigen::Ref<Matrix> corner = S.block(first, first, size, size);
    const Eigen::LLT<Eigen::Ref<Matrix>> diagonal(corner);  // in place
    if (diagonal.info() != Eigen::Success) return false;
    if (rest == 0) break;
    const double panel = static_cast<double>(rest) * kTile * kTile;
    for_tiles(rest, kTile, panel, n_threads, monitor, [&](Index row, Index rows) {
      auto block = S.block(first + size + row, first, rows, size);
      diagonal.matrixL().transpose().template solveInPlace<Eigen::OnTheRight>(block);
    });
    add_outer_product(S.block(first + size, first, rest, size), -1.0, S.bottomRightCorner(rest, rest), n_threads,
                      monitor);
  }
  return true;
}

void solve_lower(const MatrixView& L, Eigen::Ref<Matrix> B, int n_threads, Monitor& monitor) {
  const double flops = static_cast<double>(L.rows()) * static_cast<double>(L.rows()) * static_cast<double>(B.cols());
  for_tiles(B.cols(), 32, flops, n_threads, monitor, [&](Index first, Index size) {
    auto block = B.middleCols(first, size);
    L.triangularView<Eigen::Lower>().solveInPlace(block);
  });
}

}  // namespace cvxrelu
