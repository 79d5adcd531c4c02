// Columns Z whose coefficients the penalty does not know, beside outputs that other coefficients give.
//
// The loss is minimised over gamma by Newton's method, with the curvature of a majorising quadratic where a step of the
// Hessian's raises it. At the end Z'R = 0 for the residual R, which is what makes R a point of the dual, to rounding.
// Cost of a step: O(n q c), and for a loss that couples its outputs O(n q c^2).
#pragma once

#include "cvxrelu/losses/losses.hpp"

namespace cvxrelu {

/// Minimises the loss of offset + Z gamma, offset (n, c), over gamma (q, c) from the one given; Z has orthonormal
/// columns. Throws where the loss falls for ever, since the columns separate the targets.
void fit_unpenalised(const Loss& loss, const MatrixView& Z, const MatrixView& offset, Matrix& gamma);

/// Outputs of blocks with the best coefficients of the unpenalised columns beside them.
struct CompletedFit {
  Matrix blocks;   // (n, c), what the blocks fit
  Matrix gamma;    // (q, c)
  Matrix outputs;  // blocks + Z gamma

  CompletedFit(Index n_samples, Index n_columns, Index n_outputs)
      : blocks(Matrix::Zero(n_samples, n_outputs)), gamma(Matrix::Zero(n_columns, n_outputs)), outputs(blocks) {}
  /// Finds gamma, from where it is, and the outputs.
  void complete(const Loss& loss, const MatrixView& Z) {
    fit_unpenalised(loss, Z, blocks, gamma);
    outputs = blocks;
    if (Z.cols() > 0) outputs.noalias() += Z * gamma;
  }
};

}  // namespace cvxrelu
