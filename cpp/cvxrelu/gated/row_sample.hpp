// A sample of the rows as a model of a program over all of them, on a working set.
//
// At coefficients W with minus the gradient C over all rows and curvatures h_j the model of the program in V is
//
//     1/2 sum_(j in S) (n / n_S) h_j ||x_j'sum_i D_ij (V_i - W_i)||^2 - <C, V> + e^2/2 ||V - W||^2 + penalty(V).
//
// Its gradient at W is that of all rows, so that solutions of the whole program are solutions of their models, and
// models built one after the other converge at a rate that depends on the coefficients beside n_S, however many rows
// there are (Shamir, Srebro and Zhang, "Communication-efficient distributed optimization using an approximate
// Newton-type method", 2014). e^2, small beside the curvature of a block, keeps steps short where the sample has too
// little. Curvatures of a model before serve again while they are nearly the same, and with them the Gram blocks.
//
// Cost of a step: as one of a group lasso with n_S rows. Memory: n_S rows of X and masks.
#pragma once

#include <memory>
#include <vector>

#include "cvxrelu/gated/block_update.hpp"
#include "cvxrelu/gated/group_lasso.hpp"

namespace cvxrelu {

class RowSample {
 public:
  /// About `n_rows` rows, the same for the same number, and the words of the patterns `groups` on them.
  RowSample(const GroupLassoProblem& problem, const std::vector<Index>& groups, Index n_rows);

  Index size() const { return static_cast<Index>(rows_.size()); }

  /// Moves W, (d c, m) for the patterns of the sample, to near the minimum of the model, C being `correlations`. Work
  /// is added to the counts. `problem` has the penalty and the unpenalised columns of all rows.
  Matrix minimise(const GroupLassoProblem& problem, const VectorView& curvature, const Matrix& correlations,
                  const Matrix& W, GroupLassoResult& counts);

 private:
  void weigh(const MatrixView& unpenalised, const VectorView& curvature, const MaskedDesign& all);

  Vector omega_;
  std::vector<Index> rows_;
  double share_;
  RowMatrix X_;
  WordMatrix words_;
  // Weighted by curvatures, and what has been computed of that, until curvatures have changed by much.
  Vector curvature_;
  RowMatrix scaled_;
  Matrix free_;
  std::unique_ptr<MaskedDesign> design_;
  std::unique_ptr<BlockUpdate> blocks_;
};

}  // namespace cvxrelu
