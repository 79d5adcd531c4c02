// The loss of the ReLU program as its solver and its certificate see it. The dual objective of the program is
// -loss*(-theta), so the solver minimises a function of theta whose smooth part is loss*(-theta), with
//
//     gradient  -f         f an output with theta = -loss'(f),
//     Hessian   1 / w      w = loss''(f).
//
// Points are moved along the loss's own link: from (f, theta) in the direction of Newton's step for f, and theta
// follows as -loss'(f). So theta stays in the domain of loss* without a barrier, and a small w is never divided by.
// For the squared loss, whose weights are folded into the rows, w = 1 and theta moves on a straight line.
//
// Cost: O(n) for each call, with a logarithm or an exponential for each sample where the loss has one.
#pragma once

#include <memory>

#include "cvxrelu/losses/losses.hpp"

namespace cvxrelu {

/// theta = -loss'(output).
struct DualPoint {
  Vector theta, output;
};

/// The dual point scale * residual of an output, and its part of the duality gap.
struct ScaledResidual {
  double scale = 1;
  double divergence = 0;  // loss(f) + loss*(-scale r) + scale f'r
};

class ConeLoss {
 public:
  virtual ~ConeLoss() = default;

  virtual Index n_samples() const = 0;
  /// -loss'(output).
  virtual Vector residual(const VectorView& output) const = 0;
  virtual double value(const VectorView& output, const VectorView& residual) const = 0;
  /// The best multiple of a residual with |scale| <= most.
  virtual ScaledResidual scaled(const VectorView& output, const VectorView& residual, double most) const = 0;
  virtual double divergence(const VectorView& output, const VectorView& residual, double scale) const = 0;

  /// loss*(-theta).
  virtual double conjugate(const DualPoint& at) const = 0;
  /// The roots of w, empty where all are 1.
  virtual Vector root_curvature(const DualPoint& at) const = 0;
  /// A curvature with which a quadratic majorises the loss (for Poisson on the way to its minimum).
  virtual Vector majoriser(const DualPoint& at) const = 0;
  /// Whether theta moves on a line.
  virtual bool straight() const = 0;
  /// The point at `length` on the way from a point, along d theta or along d output; `to` is another one.
  virtual void move(const DualPoint& from, const DualPoint& direction, double length, DualPoint& to) const = 0;
  /// d theta / d length there.
  virtual Vector velocity(const DualPoint& at, const DualPoint& direction) const = 0;
  /// Where several outputs have this theta, takes the one nearest to `fit`.
  virtual void settle(DualPoint& at, const VectorView& fit) const = 0;
  /// Columns Z that the penalty does not know: gamma with Z'r = 0 for the residual r of offset + Z gamma, from the
  /// gamma given. Throws where the loss falls for ever, since the columns separate the targets.
  virtual void fit_unpenalised(const MatrixView& Z, const VectorView& offset, Vector& gamma) const = 0;
  /// The size of outputs whose rounding bounds what a gradient can be brought down to.
  virtual double output_size(const DualPoint& at) const = 0;
};

/// 1/2 ||y - f||^2.
std::unique_ptr<ConeLoss> make_squared_cone_loss(const VectorView& y);

/// Any loss with one output, with the weights of the samples.
std::unique_ptr<ConeLoss> make_cone_loss(std::unique_ptr<Loss> loss);

}  // namespace cvxrelu
