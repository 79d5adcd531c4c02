// The ReLU program over a list of patterns,
//
//     min 1/2 ||y - sum_i D_i X (v_i - w_i)||^2 + beta sum_i (||v_i|| + ||w_i||),   v_i, w_i in K_i,
//
// whose minimum over all cells is that of training a two-layer ReLU network with weight decay beta/2 on both layers
// (Pilanci and Ergen 2020). Outer loop: the list is priced at the residual (cone_list.hpp), which gives the certified
// gap, and the worst violated cones join the working set; inner solver: cone_newton.hpp.
//
// Cost: a few dozen products with the masked design, cone projections, and Newton systems of the size of the faces.
// Memory: O(d p) for correlations, O(n K) for K free directions.
#pragma once

#include <vector>

#include "cvxrelu/cones/cone_newton.hpp"

namespace cvxrelu {

struct ConeProgramSettings {
  double tol = 1e-6;  // on the gap relative to the objective at zero
  Index max_iter = 200;
};

struct ConeProgramResult {
  double beta = 0;
  std::vector<SignedCone> cones;
  Matrix blocks;    // (d, m), the non-zero blocks
  Vector residual;  // of the network that the blocks are
  Vector dual;
  double objective = 0;
  double gap = 0;
  double relative_gap = 0;
  double dual_norm = 0;  // bound on nu(residual)
  Index n_iter = 0;
  ConeWork work;
  bool converged = false;
  bool stopped = false;  // the monitor asked for it
};

class ConeProgram {
 public:
  ConeProgram(ConeList& list, const VectorView& y) : list_(list), y_(y) {}

  /// Solves from the blocks of the last call, or from those given to `start`. Patterns may have been appended.
  ConeProgramResult solve(double beta, const ConeProgramSettings& settings, Monitor& monitor);

  /// Blocks to start from; columns outside their cones are projected.
  void start(const std::vector<SignedCone>& cones, const MatrixView& blocks);

 private:
  void grow(const Pricing& pricing, Index limit, Index& added);

  ConeList& list_;
  VectorView y_;
  std::vector<ConeBlock> blocks_;
  Vector theta_;
  double sigma_ = 0;
};

/// max_i max_s ||P_{K_i}(s X' D_i y)||: the smallest beta whose solution over the list is zero.
double cone_program_beta_max(ConeList& list, const VectorView& y);

}  // namespace cvxrelu
