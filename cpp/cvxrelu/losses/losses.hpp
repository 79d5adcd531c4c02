// Losses of the gated and of the ReLU program, each written as a divergence that is zero where a prediction is perfect:
//
//     squared   1/2 (y - f)^2
//     logistic  KL(y || p) between Bernoulli laws, p = 1/(1 + e^-f);  log(1 + e^-f), log(1 + e^f) for y = 1, 0
//     softmax   KL(y || p) between laws of c classes, p = softmax(f); -log p_k for y = e_k
//     Huber     1/2 r^2 for |r| <= delta, else delta |r| - delta^2/2; r = y - f
//     Poisson   half the deviance, e^f - y f + y log y - y
//
// For samples with weights s the dual of min_W sum_j s_j loss(y_j, f_j) + penalty(W), F = sum_i A_i W_i, is
// max_T -sum_j s_j loss*(-t_j/s_j), and the part of a duality gap that belongs to sample j is its Fenchel-Young loss
//
//     loss(y, f) + loss*(-t) + f t  >=  0,   at t = 0 the loss itself:
//
//     squared 1/2 (y - f - t)^2;  logistic, softmax, Poisson KL(y - t || p), where y - t must be a law (or not
//     negative); Huber huber(r) + t^2/2 - r t, |t| <= delta.
//
// The residual R = -gradient is a point of that domain, and so is s R for 0 <= s <= 1.
#pragma once

#include <memory>
#include <string>

#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

class Loss {
 public:
  virtual ~Loss() = default;

  /// Sum over the samples of the Fenchel-Young losses of F and T, both (n, c); infinite where T is outside the domain.
  virtual double fenchel_young(const MatrixView& F, const MatrixView& T) const = 0;
  double value(const MatrixView& F) const { return fenchel_young(F, Matrix::Zero(F.rows(), F.cols())); }
  /// Minus the gradient at F.
  virtual Matrix residual(const MatrixView& F) const = 0;
  /// out = Hessian at F times S.
  virtual Matrix hessian_product(const MatrixView& F, const MatrixView& S) const = 0;
  /// The h_j of the quadratic model in proximal_newton.hpp, positive where the sample has a weight:
  ///     h_j = max(second derivative at F, damping m_j),
  /// in the direction of the outputs where it is largest (for softmax, a bound on that). m_j is the curvature of a
  /// quadratic that touches the loss at F and is nowhere below it, so that with damping 1 the model's minimum never
  /// raises the objective. No quadratic is above all of Poisson's loss: its m_j serves between F and the minimum.
  /// Huber's second derivative, which is 0 or 1, is no model of it: h_j = m_j whatever the damping.
  Vector curvature(const MatrixView& F, double damping) const { return curvatures(F, damping).rowwise().maxCoeff(); }
  /// The same for each output by itself, (n, c), or for one that is coupled to others h_j.
  virtual Matrix curvatures(const MatrixView& F, double damping) const = 0;
  /// Of all outputs with the residual that F has, those nearest to `wanted`: F itself, but where a sample has no weight
  /// or Huber's residual is cut off.
  virtual Matrix nearest(const MatrixView& F, const MatrixView& wanted) const = 0;
  /// Whether `curvature` is the Hessian where damping does not raise it: not for several outputs, and not for Huber.
  virtual bool curvature_is_exact() const = 0;
  /// Whether it is no sum over the outputs.
  virtual bool couples_outputs() const = 0;

  const Matrix& targets() const { return Y_; }

 protected:
  Loss(const MatrixView& Y, const VectorView& weights) : Y_(Y), weights_(weights) {}
  Matrix Y_;        // (n, c)
  Vector weights_;  // (n,), not negative
};

/// `name` is logistic, softmax, huber or poisson; `delta` is Huber's.
std::unique_ptr<Loss> make_loss(const std::string& name, const MatrixView& Y, const VectorView& weights, double delta);

}  // namespace cvxrelu
