// One sweep of block-coordinate descent over some groups.
//
// Few features: the block problem min 1/2 <W, G W> - <B, W> + t ||W|| (+ ridge) is solved exactly. With G = Q E Q' and
// s = ||W||, W = s (G s + t)^-1 B, where s solves the secular equation ||(E s + t)^-1 Q' B|| = 1 by Newton's method on
// 1/||.|| - 1, which is concave in s and converges from the left without safeguards.
// Under the nuclear norm a few accelerated proximal gradient steps of the block problem take its place, each of which
// shrinks the singular values.
// Many features: a proximal gradient step with a step length that fits every group, 1 / lambda_max(X'X).
#pragma once

#include <unordered_map>

#include "cvxrelu/gated/group_lasso.hpp"

namespace cvxrelu {

/// Eigenvalues and vectors of a Gram block A_i'A_i.
struct BlockSpectrum {
  Vector values;
  Matrix vectors;
};

class BlockUpdate {
 public:
  static constexpr Index kExactFeatures = 32;  // above, spectra cost more than the sweeps that they save

  explicit BlockUpdate(const MaskedDesign& design) : design_(design) {}

  /// Updates the blocks of `groups` in their order.
  void sweep(const GroupLassoProblem& problem, const std::vector<Index>& groups, Iterate& iterate);

  bool exact() const { return design_.n_features() <= kExactFeatures; }
  /// An upper bound of ||X|| = sqrt(lambda_max(X'X)).
  double norm_bound();
  /// The spectrum of a group's Gram block, computed at the first request.
  const BlockSpectrum& spectrum(Index group);
  /// The trace of a group's Gram block.
  double trace(Index group);

 private:
  static constexpr int kMostProximal = 10;
  static constexpr double kSettled = 1e-3;  // change of a block that ends its proximal steps, relative to it

  void minimise_block(const GroupLassoProblem& problem, Index group, const Matrix& correlation,
                      Eigen::Ref<Matrix> block);
  void minimise_nuclear(const GroupLassoProblem& problem, Index group, const Matrix& correlation,
                        Eigen::Ref<Matrix> block);
  double step_curvature();
  const Matrix& small_gram();

  const MaskedDesign& design_;
  std::unordered_map<Index, BlockSpectrum> spectra_;
  std::unordered_map<Index, double> traces_;
  Matrix small_gram_;  // X'X or XX', whichever is smaller: they share the largest eigenvalue
  double curvature_ = 0;
  double norm_bound_ = 0;
};

}  // namespace cvxrelu
