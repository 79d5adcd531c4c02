// The ReLU program over a few signed cones,
//
//     min L(f) + sum_b (beta omega_b ||u_b|| + ridge/2 ||u_b||^2),   u_b in K_b,   f = sum_b s_b A_b u_b + Z gamma,
//
// A_b = D_b X, by a semismooth Newton augmented Lagrangian method: proximal point steps of length sigma on the blocks
// (and tau on gamma), each of which minimises over theta the differentiable convex function
//
//     psi(theta) = L*(-theta) + 1/(2 sigma (1 + sigma ridge)) sum_b (||P_b(u_b + sigma s_b A_b'theta)|| - t_b)_+^2
//                + 1/(2 tau) ||gamma + tau Z'theta||^2,   t_b = sigma beta omega_b.
//
// (Li, Sun and Toh 2018, for the lasso; here the proximal map is a cone projection and a shrinkage.) A generalised
// Hessian is W^-1 + V V' with the curvatures W of the loss and, for each non-zero block, the columns of A_b that span
// the face it lies on. Newton's step for theta, d, is taken on the outputs f, which move by -d / w, and theta follows
// along the loss's link (cone_loss.hpp); systems with I + W^1/2 V V' W^1/2 are solved inexactly (cone_hessian.hpp).
// Cost of a Newton step: such a system, and a projection for each block.
#pragma once

#include <vector>

#include "cvxrelu/cones/cone_hessian.hpp"
#include "cvxrelu/cones/cone_list.hpp"
#include "cvxrelu/cones/cone_loss.hpp"

namespace cvxrelu {

/// A block of the working set.
struct ConeBlock {
  SignedCone cone;
  Vector value;               // in the closed cone
  std::vector<Index> face{};  // rows that are active there, or were in the last projection
  bool nonzero() const { return value.squaredNorm() > 0; }
};

/// What is minimised over blocks in the cones of a list, which has their weights. The list and the loss outlive it.
struct ConeObjective {
  ConeList& list;
  const ConeLoss& loss;
  double beta = 0;
  double ridge = 0;
  const Matrix& unpenalised;  // Z (n, q) with orthonormal columns, of which there may be none

  /// ||W^1/2 X||_F^2 with curvatures W that majorise the loss: a block's is typically this over 2 d.
  double squares(const DualPoint& at) const;

  double penalty(const ConeBlock& block) const {
    const double norm = block.value.norm();
    return beta * list.weight(block.cone.pattern) * norm + 0.5 * ridge * norm * norm;
  }
};

/// Blocks and coefficients of the unpenalised columns, and the solver's state between calls.
struct ConeIterate {
  std::vector<ConeBlock> blocks;
  Vector gamma;
  DualPoint dual;    // empty before the first call
  double sigma = 0;  // the step length, adapted
};

struct ConeWork {
  Index n_newton = 0;
  Index n_proximal = 0;
};

class ConeNewton {
 public:
  explicit ConeNewton(const ConeObjective& objective);

  /// Improves the blocks until the gap over these cones is at most `gap`, or no more progress is made, or
  /// `max_proximal` steps are done.
  void solve(ConeIterate& iterate, double gap, Index max_proximal, ConeWork& work);

 private:
  struct Evaluation {
    double psi = 0;
    Vector fit;
  };

  void gather(const std::vector<ConeBlock>& blocks);
  Matrix gradients(const VectorView& theta) const;
  void evaluate(const Matrix& correlations, const DualPoint& point, Evaluation& at);
  void add_unpenalised(const VectorView& theta, Evaluation& at);
  DualPoint newton_direction(const DualPoint& point, const VectorView& gradient);
  double size(const DualPoint& point, const VectorView& gradient) const;
  double moved() const;
  Index minimise(DualPoint& point, Evaluation& at, ConeWork& work);
  double restricted_gap(const Vector& fit);

  const ConeObjective& objective_;
  ConeList& list_;
  const ConeLoss& loss_;
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
  Vector gamma_, gamma_proposal_;
  double sigma_ = 0;
  double stiffness_ = 0;  // tau / sigma
  double accuracy_ = 0;   // of proximal points
  bool resolved_ = true;  // whether the last one was found to it
  ConeHessian hessian_;
};

/// sum_b s_b (X u_b)_+, the outputs of the network that the blocks are.
Vector network_output(const RowMatrixView& X, const std::vector<ConeBlock>& blocks);

/// The dual point s r for the residual r of a network, feasible where `pricing` is that of r, and the gap between the
/// network's objective and the dual one as a sum of non-negative terms: by its actual outputs, so that blocks outside
/// their cones cannot flatter,
///
///     L(f) + L*(-s r) + s f'r  +  sum_b (penalty(u_b) - s s_b r'(X u_b)_+ + e_b)_+  +  sum of e_i over other cones,
///     e_i = (s nu_i - beta omega_i)_+^2 / (2 ridge),
///
/// nu_i the norms that pricing found: without ridge s keeps them at most beta omega_i, and there are no e_i.
struct NetworkGap {
  double gap = 0;
  double scale = 0;
  std::vector<double> own_excess;  // e_b of the non-zero blocks
  double other_excess = 0;
};
NetworkGap network_gap(const ConeObjective& objective, const std::vector<ConeBlock>& blocks, const VectorView& output,
                       const VectorView& residual, const Pricing& pricing);

}  // namespace cvxrelu
