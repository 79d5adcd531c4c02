#include "cvxrelu/algebra/symmetric.hpp"

#include <Eigen/Cholesky>
#include <algorithm>

#include "cvxrelu/base/parallel.hpp"

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

template <class S>
void outer_product(const MatrixViewOf<S>& A, S factor, Eigen::Ref<MatrixOf<S>> sum, int n_threads, Monitor& monitor) {
  const Index n = A.rows();
  const double flops = static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(A.cols());
  for_tiles(n, kTile, flops, n_threads, monitor, [&](Index first, Index size) {
    sum.block(first, first, n - first, size).noalias() +=
        factor * A.bottomRows(n - first) * A.middleRows(first, size).transpose();
  });
}

template <class S>
void inner_product(const MatrixViewOf<S>& A, S factor, Eigen::Ref<MatrixOf<S>> sum, int n_threads, Monitor& monitor) {
  const Index n = A.cols();
  const double flops = static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(A.rows());
  for_tiles(n, kTile, flops, n_threads, monitor, [&](Index first, Index size) {
    sum.block(first, first, n - first, size).noalias() +=
        factor * A.rightCols(n - first).transpose() * A.middleCols(first, size);
  });
}

template <class S>
bool factorise(Eigen::Ref<MatrixOf<S>> A, int n_threads, Monitor& monitor) {
  const Index n = A.rows();
  for (Index first = 0; first < n; first += kTile) {
    const Index size = std::min(kTile, n - first), rest = n - first - size;
    Eigen::Ref<MatrixOf<S>> corner = A.block(first, first, size, size);
    const Eigen::LLT<Eigen::Ref<MatrixOf<S>>> diagonal(corner);  // in place
    if (diagonal.info() != Eigen::Success) return false;
    if (rest == 0) break;
    const double panel = static_cast<double>(rest) * kTile * kTile;
    for_tiles(rest, kTile, panel, n_threads, monitor, [&](Index row, Index rows) {
      auto block = A.block(first + size + row, first, rows, size);
      diagonal.matrixL().transpose().template solveInPlace<Eigen::OnTheRight>(block);
    });
    outer_product<S>(A.block(first + size, first, rest, size), S(-1), A.bottomRightCorner(rest, rest), n_threads,
                     monitor);
  }
  return true;
}

template <class S>
void solve(const MatrixViewOf<S>& L, Eigen::Ref<MatrixOf<S>> B, int n_threads, Monitor& monitor) {
  const double flops = static_cast<double>(L.rows()) * static_cast<double>(L.rows()) * static_cast<double>(B.cols());
  for_tiles(B.cols(), 128, flops, n_threads, monitor, [&](Index first, Index size) {
    auto block = B.middleCols(first, size);
    L.template triangularView<Eigen::Lower>().solveInPlace(block);
  });
}

}  // namespace

void add_outer_product(const MatrixView& A, double factor, Eigen::Ref<Matrix> S, int n_threads, Monitor& monitor) {
  outer_product<double>(A, factor, S, n_threads, monitor);
}
void add_outer_product(const MatrixViewOf<float>& A, float factor, Eigen::Ref<MatrixOf<float>> S, int n_threads,
                       Monitor& monitor) {
  outer_product<float>(A, factor, S, n_threads, monitor);
}

void add_inner_product(const MatrixView& A, double factor, Eigen::Ref<Matrix> S, int n_threads, Monitor& monitor) {
  inner_product<double>(A, factor, S, n_threads, monitor);
}
void add_inner_product(const MatrixViewOf<float>& A, float factor, Eigen::Ref<MatrixOf<float>> S, int n_threads,
                       Monitor& monitor) {
  inner_product<float>(A, factor, S, n_threads, monitor);
}

bool cholesky(Eigen::Ref<Matrix> S, int n_threads, Monitor& monitor) {
  return factorise<double>(S, n_threads, monitor);
}
bool cholesky(Eigen::Ref<MatrixOf<float>> S, int n_threads, Monitor& monitor) {
  return factorise<float>(S, n_threads, monitor);
}

void solve_lower(const MatrixView& L, Eigen::Ref<Matrix> B, int n_threads, Monitor& monitor) {
  solve<double>(L, B, n_threads, monitor);
}
void solve_lower(const MatrixViewOf<float>& L, Eigen::Ref<MatrixOf<float>> B, int n_threads, Monitor& monitor) {
  solve<float>(L, B, n_threads, monitor);
}

Vector inverse_diagonal(const MatrixView& L, int n_threads, Monitor& monitor) {
  const Index n = L.rows();
  Vector diagonal(n);
  const double flops = static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n) / 3;
  for_tiles(n, kTile, flops, n_threads, monitor, [&](Index first, Index size) {
    Matrix columns = Matrix::Identity(n - first, size);  // of the inverse of L, which are zero above
    L.bottomRightCorner(n - first, n - first).triangularView<Eigen::Lower>().solveInPlace(columns);
    diagonal.segment(first, size) = columns.colwise().squaredNorm().transpose();
  });
  return diagonal;
}

}  // namespace cvxrelu
