#include "cvxrelu/cones/cone_loss.hpp"

#include <algorithm>
#include <cmath>

#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/losses/unpenalised.hpp"

namespace cvxrelu {

namespace {

class SquaredConeLoss final : public ConeLoss {
 public:
  explicit SquaredConeLoss(const VectorView& y) : y_(y) {}

  Index n_samples() const override { return y_.size(); }
  Vector residual(const VectorView& output) const override { return y_ - output; }
  double value(const VectorView&, const VectorView& residual) const override { return 0.5 * residual.squaredNorm(); }
  ScaledResidual scaled(const VectorView& output, const VectorView& residual, double most) const override {
    const double squared = residual.squaredNorm();
    if (squared == 0) return {0, 0};
    const double scale = std::clamp(y_.dot(residual) / squared, -most, most);
    return {scale, divergence(output, residual, scale)};
  }
  double divergence(const VectorView&, const VectorView& residual, double scale) const override {
    const double off = 1 - scale;
    return 0.5 * off * off * residual.squaredNorm();
  }

  double conjugate(const DualPoint& at) const override { return 0.5 * at.theta.squaredNorm() - y_.dot(at.theta); }
  Vector root_curvature(const DualPoint&) const override { return {}; }
  Vector majoriser(const DualPoint&) const override { return Vector::Ones(y_.size()); }
  bool straight() const override { return true; }
  void move(const DualPoint& from, const DualPoint& direction, double length, DualPoint& to) const override {
    to.theta = from.theta + length * direction.theta;
    to.output = y_ - to.theta;
  }
  Vector velocity(const DualPoint&, const DualPoint& direction) const override { return direction.theta; }
  void settle(DualPoint&, const VectorView&) const override {}
  void fit_unpenalised(const MatrixView& Z, const VectorView& offset, Vector& gamma) const override {
    gamma = Z.transpose() * (y_ - offset);
  }
  double output_size(const DualPoint&) const override { return y_.norm(); }

 private:
  Vector y_;
};

class GeneralConeLoss final : public ConeLoss {
 public:
  explicit GeneralConeLoss(std::unique_ptr<Loss> loss) : loss_(std::move(loss)) {}

  Index n_samples() const override { return loss_->targets().rows(); }
  Vector residual(const VectorView& output) const override { return loss_->residual(output); }
  double value(const VectorView& output, const VectorView&) const override { return loss_->value(output); }
  // s r is in the domain of loss* for all s in [0, 1].
  ScaledResidual scaled(const VectorView& output, const VectorView& residual, double most) const override {
    const double scale = std::min(1.0, most);
    return {scale, divergence(output, residual, scale)};
  }
  double divergence(const VectorView& output, const VectorView& residual, double scale) const override {
    return loss_->fenchel_young(output, scale * residual);
  }

  double conjugate(const DualPoint& at) const override { return -loss_->value(at.output) - at.output.dot(at.theta); }
  Vector root_curvature(const DualPoint& at) const override { return curvature(at).cwiseSqrt(); }
  Vector majoriser(const DualPoint& at) const override { return loss_->curvature(at.output, 1); }
  bool straight() const override { return false; }
  void move(const DualPoint& from, const DualPoint& direction, double length, DualPoint& to) const override {
    to.output = from.output + length * direction.output;
    to.theta = loss_->residual(to.output);
  }
  Vector velocity(const DualPoint& at, const DualPoint& direction) const override {
    return -curvature(at).cwiseProduct(direction.output);
  }
  void settle(DualPoint& at, const VectorView& fit) const override { at.output = loss_->nearest(at.output, fit); }
  void fit_unpenalised(const MatrixView& Z, const VectorView& offset, Vector& gamma) const override {
    Matrix column = gamma;
    cvxrelu::fit_unpenalised(*loss_, Z, offset, column);
    gamma = column;
  }
  double output_size(const DualPoint& at) const override {
    return 1 + curvature(at).cwiseSqrt().cwiseProduct(at.output).norm();
  }

 private:
  Vector curvature(const DualPoint& at) const {
    return loss_->hessian_product(at.output, Vector::Ones(at.output.size()));
  }

  std::unique_ptr<Loss> loss_;
};

}  // namespace

std::unique_ptr<ConeLoss> make_squared_cone_loss(const VectorView& y) { return std::make_unique<SquaredConeLoss>(y); }

std::unique_ptr<ConeLoss> make_cone_loss(std::unique_ptr<Loss> loss) {
  require(loss->targets().cols() == 1, "the ReLU program has one output");
  return std::make_unique<GeneralConeLoss>(std::move(loss));
}

}  // namespace cvxrelu
