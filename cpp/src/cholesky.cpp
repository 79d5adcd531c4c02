#include "cvxrelu/cholesky.hpp"

#include <Eigen/Cholesky>

#include "cvxrelu/errors.hpp"
#include "interruptible.hpp"

namespace cvxrelu {

bool cholesky(Eigen::Ref<RowMatrix> A, int n_threads, Monitor& monitor) {
  require(A.rows() == A.cols(), "A must be square");
  constexpr Index kBlock = 128;
  const Index n = A.rows();
  const double order = static_cast<double>(n);
  const int threads = detail::worthwhile_threads(order * order * order / 6, n_threads);
  for (Index k = 0; k < n; k += kBlock) {
    const Index size = std::min(kBlock, n - k), below = k + size;
    const Index blocks = (n - below + kBlock - 1) / kBlock;
    auto diagonal = A.block(k, k, size, size);
    const Eigen::LLT<RowMatrix> factor(diagonal);
    if (factor.info() != Eigen::Success) return false;
    diagonal.triangularView<Eigen::Lower>() = factor.matrixL();
    const auto height = [&](Index i) { return std::min(kBlock, n - below - i * kBlock); };

    detail::interruptible_tasks(blocks, threads, monitor, [&](Index i, int) {
      auto panel = A.block(below + i * kBlock, k, height(i), size);
      // panel = panel L^-T, solved for its transpose.
      auto turned = panel.transpose();
      diagonal.triangularView<Eigen::Lower>().solveInPlace(turned);
    });
    detail::interruptible_tasks(blocks, threads, monitor, [&](Index task, int) {
      const Index i = blocks - 1 - task;  // the longest strips first
      const Index rows = height(i), cols = i * kBlock + rows;
      A.block(below + i * kBlock, below, rows, cols).noalias() -=
          A.block(below + i * kBlock, k, rows, size) * A.block(below, k, cols, size).transpose();
    });
  }
  return true;
}

void cholesky_solve(const RowMatrixView& L, Eigen::Ref<Matrix> B) {
  require(L.rows() == L.cols() && B.rows() == L.rows(), "L must be square, with as many rows as B");
  L.triangularView<Eigen::Lower>().solveInPlace(B);
  L.transpose().triangularView<Eigen::Upper>().solveInPlace(B);
}

}  // namespace cvxrelu
