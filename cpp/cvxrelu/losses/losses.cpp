#include "cvxrelu/losses/losses.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cvxrelu/base/errors.hpp"

namespace cvxrelu {

namespace {

// What rounding leaves of a divergence that is zero, whose terms are of the size of 1.
constexpr double kRounding = 4e-16;
constexpr double kOutside = std::numeric_limits<double>::infinity();  // of the domain

double x_log_x(double x) { return x > 0 ? x * std::log(x) : 0; }

double above(double rounding, double value) { return value <= rounding ? 0 : value; }  // not a number stays so

struct Logistic {
  static constexpr double kRounded = kRounding;
  static constexpr bool kSmooth = true;
  static double mean(double f) {
    const double e = std::exp(-std::abs(f));
    return (f >= 0 ? 1 : e) / (1 + e);
  }
  double fenchel_young(double y, double f, double t) const {
    if (y - t < -kRounding || y - t > 1 + kRounding) return kOutside;
    const double law = std::clamp(y - t, 0.0, 1.0);
    // The linear part is taken from the smaller of the two tails, so that large f do not cancel.
    const double linear = f >= 0 ? (1 - law) * f : -law * f;
    return x_log_x(law) + x_log_x(1 - law) + linear + std::log1p(std::exp(-std::abs(f)));
  }
  double residual(double y, double f) const { return y - mean(f); }
  double second_derivative(double, double f) const { return mean(f) * mean(-f); }
  double nearest(double, double f, double) const { return f; }
  // Jaakkola and Jordan, "Bayesian parameter estimation via variational methods", 2000.
  double majoriser(double, double f) const { return std::abs(f) < 1e-4 ? 0.25 : std::tanh(f / 2) / (2 * f); }
};

struct Huber {
  static constexpr double kRounded = 0;
  static constexpr bool kSmooth = false;
  double delta;
  double fenchel_young(double y, double f, double t) const {
    if (std::abs(t) > delta * (1 + kRounding)) return kOutside;
    const double r = y - f, clipped = std::clamp(r, -delta, delta);
    return 0.5 * (clipped - t) * (clipped - t) + (r - clipped) * (clipped - t);
  }
  double residual(double y, double f) const { return std::clamp(y - f, -delta, delta); }
  // Outputs that `nearest` puts on the border are on this side of it, whatever the rounding of y - delta and y - f.
  double second_derivative(double y, double f) const {
    return std::abs(y - f) <= delta + kRounding * (std::abs(y) + delta) ? 1 : 0;
  }
  double nearest(double y, double f, double wanted) const {
    if (y - f >= delta) return std::min(wanted, y - delta);
    return y - f <= -delta ? std::max(wanted, y + delta) : f;
  }
  double majoriser(double y, double f) const { return std::min(1.0, delta / std::abs(y - f)); }
};

struct Poisson {
  static constexpr double kRounded = kRounding;
  static constexpr bool kSmooth = true;
  double fenchel_young(double y, double f, double t) const {
    if (y - t < -kRounding * std::max(1.0, y)) return kOutside;
    const double law = std::max(y - t, 0.0);
    return x_log_x(law) - law * f - law + std::exp(f);
  }
  double residual(double y, double f) const { return y - std::exp(f); }
  double second_derivative(double, double f) const { return std::exp(f); }
  double nearest(double, double f, double) const { return f; }
  // Up to log y the curvature stays below y.
  double majoriser(double y, double f) const { return std::max({y, std::exp(f), 1e-6}); }
};

template <class Scalar>
class Elementwise final : public Loss {
 public:
  Elementwise(const MatrixView& Y, const VectorView& weights, Scalar scalar) : Loss(Y, weights), scalar_(scalar) {}

  double fenchel_young(const MatrixView& F, const MatrixView& T) const override {
    double sum = 0;
    for (Index k = 0; k < F.cols(); ++k)
      for (Index j = 0; j < F.rows(); ++j)
        if (weights_[j] > 0)
          sum += weights_[j] * above(Scalar::kRounded, scalar_.fenchel_young(Y_(j, k), F(j, k), T(j, k) / weights_[j]));
    return sum;
  }
  Matrix residual(const MatrixView& F) const override {
    return map(F, [&](Index j, Index k) { return scalar_.residual(Y_(j, k), F(j, k)); });
  }
  Matrix hessian_product(const MatrixView& F, const MatrixView& S) const override {
    return map(F, [&](Index j, Index k) { return scalar_.second_derivative(Y_(j, k), F(j, k)) * S(j, k); });
  }
  Matrix curvatures(const MatrixView& F, double damping) const override {
    return map(F, [&](Index j, Index k) {
      const double y = Y_(j, k), f = F(j, k);
      return Scalar::kSmooth ? std::max(scalar_.second_derivative(y, f), damping * scalar_.majoriser(y, f))
                             : scalar_.majoriser(y, f);
    });
  }
  Matrix nearest(const MatrixView& F, const MatrixView& wanted) const override {
    Matrix out = wanted;
    for (Index k = 0; k < F.cols(); ++k)
      for (Index j = 0; j < F.rows(); ++j)
        if (weights_[j] > 0) out(j, k) = scalar_.nearest(Y_(j, k), F(j, k), wanted(j, k));
    return out;
  }
  bool curvature_is_exact() const override { return Scalar::kSmooth && Y_.cols() == 1; }
  bool couples_outputs() const override { return false; }
  double cap() const override {
    if constexpr (Scalar::kSmooth)
      return Loss::cap();
    else
      return scalar_.delta;
  }

 private:
  template <class Entry>
  Matrix map(const MatrixView& F, Entry&& entry) const {
    Matrix out(F.rows(), F.cols());
    for (Index k = 0; k < F.cols(); ++k)
      for (Index j = 0; j < F.rows(); ++j)
        out(j, k) = weights_[j] > 0 ? weights_[j] * entry(j, k) : 0.0;  // an entry may be infinite
    return out;
  }
  Scalar scalar_;
};

class Softmax final : public Loss {
 public:
  Softmax(const MatrixView& Y, const VectorView& weights) : Loss(Y, weights) {}

  double fenchel_young(const MatrixView& F, const MatrixView& T) const override {
    double sum = 0;
    for (Index j = 0; j < F.rows(); ++j) {
      if (weights_[j] == 0) continue;
      const double top = F.row(j).maxCoeff();
      double value = std::log((F.row(j).array() - top).exp().sum());
      for (Index k = 0; k < F.cols(); ++k) {
        const double raw = Y_(j, k) - T(j, k) / weights_[j], law = std::max(0.0, raw);
        if (raw < -kRounding) return kOutside;
        value += x_log_x(law) + law * (top - F(j, k));
      }
      sum += weights_[j] * above(kRounding, value);
    }
    return sum;
  }
  Matrix residual(const MatrixView& F) const override { return weights_.asDiagonal() * (Y_ - laws(F)); }
  Matrix hessian_product(const MatrixView& F, const MatrixView& S) const override {
    const Matrix P = laws(F);
    const Vector means = P.cwiseProduct(S).rowwise().sum();
    return weights_.asDiagonal() * P.cwiseProduct(S - means.replicate(1, S.cols()));
  }
  // Gershgorin on diag(p) - pp'; it is below 1/2 everywhere (Boehning, "Multinomial logistic regression algorithm",
  // 1992).
  Matrix curvatures(const MatrixView& F, double damping) const override {
    const Matrix P = laws(F);
    const Vector largest = (2 * P.array() * (1 - P.array())).rowwise().maxCoeff();
    return weights_.cwiseProduct(largest.cwiseMax(0.5 * damping)).replicate(1, F.cols());
  }
  Matrix nearest(const MatrixView& F, const MatrixView& wanted) const override {
    Matrix out = wanted;
    for (Index j = 0; j < F.rows(); ++j)
      if (weights_[j] > 0) out.row(j) = F.row(j);
    return out;
  }
  bool curvature_is_exact() const override { return false; }
  bool couples_outputs() const override { return true; }

 private:
  static Matrix laws(const MatrixView& F) {
    Matrix P = (F.colwise() - F.rowwise().maxCoeff()).array().exp();
    return P.rowwise().sum().cwiseInverse().asDiagonal() * P;
  }
};

}  // namespace

std::unique_ptr<Loss> make_loss(const std::string& name, const MatrixView& Y, const VectorView& weights, double delta) {
  require(weights.size() == Y.rows(), "there must be a weight for each sample");
  if (name == "logistic") return std::make_unique<Elementwise<Logistic>>(Y, weights, Logistic{});
  if (name == "huber") return std::make_unique<Elementwise<Huber>>(Y, weights, Huber{delta});
  if (name == "poisson") return std::make_unique<Elementwise<Poisson>>(Y, weights, Poisson{});
  require(name == "softmax", "the loss must be logistic, softmax, huber or poisson");
  return std::make_unique<Softmax>(Y, weights);
}

}  // namespace cvxrelu
