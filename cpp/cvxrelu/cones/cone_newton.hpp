// The ReLU program over a few signed cones,
//
//     min 1/2 ||y - sum_b s_b A_b u_b||^2 + beta sum_b ||u_b||,   u_b in K_b,   A_b = D_b X,
//
// by a semismooth Newton augmented Lagrangian method: proximal point steps of length sigma on the blocks, each of
// which minimises over theta the differentiable convex function
//
//     psi(theta) = 1/2 ||theta||^2 - y'theta + 1/(2 sigma) sum_b (||P_b(u_b + sigma s_b A_b'theta)|| - sigma beta)_+^2.
//
// (Li, Sun and Toh 2018, for the lasso; here the proximal map is a cone projection and a shrinkage.) A generalised
// Hessian is I + V V' with, for each non-zero block, the columns of A_b that span the face it lies on; systems with it
// are solved inexactly (cone_hessian.hpp). Cost of a Newton step: such a system, and a projection for each block.
#pragma once

#include <vector>

#include "cvxrelu/cones/cone_hessian.hpp"
#include "cvxrelu/cones/cone_list.hpp"

namespace cvxrelu {

/// A block of the working set.
struct ConeBlock {
  SignedCone cone;
  Vector value;               // in the closed cone
  std::vector<Index> face{};  // rows that are active there, or were in the last projection
  bool nonzero() const { return value.squaredNorm() > 0; }
};

struct ConeWork {
  Index n_newton = 0;
  Index n_proximal = 0;
};

class ConeNewton {
 public:
  ConeNewton(ConeList& list, const VectorView& y, double beta);

  /// Improves the blocks until the gap over these cones is at most `gap`, or no more progress is made, or
  /// `max_proximal` steps are done. `theta` is the dual point to start from and the one reached; `sigma` the step
  /// length, adapted.
  void solve(std::vector<ConeBlock>& blocks, double gap, Index max_proximal, Vector& theta, double& sigma,
             ConeWork& work);

 private:
  struct Evaluation {
    double psi = 0;
    Vector fit;
  };

  void gather(const std::vector<ConeBlock>& blocks);
  Matrix gradients(const VectorView& theta) const;
  void evaluate(const Matrix& correlations, const VectorView& theta, Evaluation& at);
  Vector newton_direction(const VectorView& gradient);
  Index minimise(Vector& theta, Evaluation& at, ConeWork& work);
  double restricted_gap(const Vector& residual);

  ConeList& list_;
  VectorView y_;
  double beta_;
  Index n_, d_;
  ConeProjector::Check check_ = ConeProjector::Check::all;

  // The working set, by columns.
  std::vector<SignedCone> cones_;
  std::vector<std::vector<Index>> faces_;
  std::vector<ConeProjector> projectors_;     // one for each, since they keep the factorisations of the faces
  std::unique_ptr<RestrictedDesign> design_;  // of the distinct patterns
  std::vector<Index> position_;               // of each block's pattern there
  Matrix values_, proposal_, projected_;      // u_b, their update, P_b(u_b + sigma s_b A_b'theta)
  Vector lengths_;                            // of the projections; 0 where the update is 0
  double sigma_ = 0;
  double accuracy_ = 0;  // of proximal points
  ConeHessian hessian_;
};

/// sum_b s_b (X u_b)_+, the outputs of the network that the blocks are.
Vector network_output(const RowMatrixView& X, const std::vector<ConeBlock>& blocks);

/// The dual point theta = s r for the residual r of a network, scaled so that nu(theta) <= beta when nu(r) <= nu, and
/// the gap between the network's objective and the dual one as a sum of non-negative terms: by its actual outputs, so
/// that blocks outside their cones cannot flatter.
struct NetworkGap {
  double gap = 0;
  double scale = 0;
};
NetworkGap network_gap(const RowMatrixView& X, const VectorView& y, const std::vector<ConeBlock>& blocks,
                       const VectorView& residual, double nu, double beta);

}  // namespace cvxrelu
