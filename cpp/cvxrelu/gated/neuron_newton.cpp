#include "cvxrelu/gated/neuron_newton.hpp"

#include <Eigen/Cholesky>
#include <algorithm>
#include <array>
#include <cmath>

#include "cvxrelu/algebra/thin_svd.hpp"

namespace cvxrelu {

namespace {

constexpr double kNegligible = 1e-12;  // of a block's largest singular value

// The step that minimises p(x) = slope x + c2 x^2 + c3 x^3 + c4 x^4, bounded below, from 0 downhill. 0 where there is
// none.
double first_minimum(const std::array<double, 4>& p) {
  const auto derivative = [&](double x) { return p[0] + x * (2 * p[1] + x * (3 * p[2] + x * 4 * p[3])); };
  const auto value = [&](double x) { return x * (p[0] + x * (p[1] + x * (p[2] + x * p[3]))); };
  if (!(p[0] < 0)) return 0;
  double low = 0, high = 1;
  for (int k = 0; k < 60 && derivative(high) < 0; ++k) {
    low = high;
    high *= 2;
  }
  for (int k = 0; k < 60 && high - low > 1e-15 * high; ++k) {
    const double middle = 0.5 * (low + high);
    (derivative(middle) < 0 ? low : high) = middle;
  }
  return value(high) < 0 ? high : 0;
}

}  // namespace

// Column k of `at`, and of all directions, is (a, b) of a neuron.
struct NeuronNewton::Neurons {
  RestrictedDesign design;
  Matrix at;                // (d + c, K)
  std::vector<Index> gate;  // of each neuron, its place among the patterns of the design
  Vector singular;          // ||a||^2 = ||b||^2
  Vector threshold;         // beta omega of its gate
  Matrix clipped;           // vec(C_i), (d c, m), with singular values of at most t_i
  Matrix descent;           // minus the gradient, (d + c, K)
  Index d, c;

  Neurons(const GroupLassoProblem& problem, const Iterate& iterate, std::vector<Index> groups)
      : design(problem.design, std::move(groups)), d(problem.design.n_features()), c(problem.Y.cols()) {
    const Index m = design.size();
    std::vector<double> singular_values;
    at.resize(d + c, m * std::min(d, c));
    for (Index i = 0; i < m; ++i) {
      const ThinSvd svd = thin_svd(problem.as_block(iterate.coef.col(pattern(i))));
      for (Index j = 0; j < svd.values.size(); ++j) {
        if (!(svd.values[j] > kNegligible * svd.values.maxCoeff())) continue;
        const double root = std::sqrt(svd.values[j]);
        at.col(static_cast<Index>(gate.size())) << root * svd.left.col(j), root * svd.right.col(j);
        gate.push_back(i);
        singular_values.push_back(svd.values[j]);
      }
    }
    at.conservativeResize(Eigen::NoChange, size());
    singular = Eigen::Map<const Vector>(singular_values.data(), size());
    threshold.resize(size());
    for (Index k = 0; k < size(); ++k) threshold[k] = problem.threshold(pattern(gate_of(k)));
    clipped.resize(d * c, m);
    design.correlations<double>(iterate.residual, clipped);
    descent = -(at * threshold.asDiagonal());
    add_products(clipped, at, 1, descent);  // before it is clipped, which is for the curvature alone
    for (Index i = 0; i < m; ++i) {
      const ThinSvd svd = thin_svd(block(clipped, i));
      const Vector values = svd.values.cwiseMin(problem.threshold(pattern(i)));
      Eigen::Map<Matrix>(clipped.col(i).data(), d, c) = svd.left * values.asDiagonal() * svd.right.transpose();
    }
  }

  Index size() const { return static_cast<Index>(gate.size()); }
  Index gate_of(Index k) const { return gate[static_cast<std::size_t>(k)]; }
  Index pattern(Index i) const { return design.patterns()[static_cast<std::size_t>(i)]; }
  Eigen::Map<const Matrix> block(const Matrix& blocks, Index i) const { return {blocks.col(i).data(), d, c}; }

  /// to += factor (Q_i y, Q_i' x) for blocks vec(Q_i) and columns (x, y).
  void add_products(const Matrix& blocks, const Matrix& columns, double factor, Matrix& to) const {
    for (Index k = 0; k < size(); ++k) {
      const auto Q = block(blocks, gate_of(k));
      to.col(k).head(d).noalias() += factor * (Q * columns.col(k).tail(c));
      to.col(k).tail(c).noalias() += factor * (Q.transpose() * columns.col(k).head(d));
    }
  }
  /// sum_k x b' + a y' by gate, (d c, m), for columns (x, y).
  Matrix tangent(const Matrix& columns) const {
    Matrix sums = Matrix::Zero(d * c, design.size());
    for (Index k = 0; k < size(); ++k) {
      Eigen::Map<Matrix> sum(sums.col(gate_of(k)).data(), d, c);
      sum.noalias() += columns.col(k).head(d) * at.col(k).tail(c).transpose();
      sum.noalias() += at.col(k).head(d) * columns.col(k).tail(c).transpose();
    }
    return sums;
  }
  /// sum_k x y' by gate, (d c, m).
  Matrix blocks(const Matrix& columns) const {
    Matrix sums = Matrix::Zero(d * c, design.size());
    for (Index k = 0; k < size(); ++k)
      Eigen::Map<Matrix>(sums.col(gate_of(k)).data(), d, c).noalias() +=
          columns.col(k).head(d) * columns.col(k).tail(c).transpose();
    return sums;
  }
};

// Inverses of the Hessian's blocks of each neuron,
//
//     [ s G + t I    G a b' - C      ]
//     [ (...)'       (a'G a + t) I   ],   s = ||b||^2,
//
// through the eigenvectors of the Gram block G, or with its mean eigenvalue where spectra are not at hand, and the
// Schur complement of the outputs.
class NeuronNewton::Preconditioner {
 public:
  Preconditioner(const Neurons& neurons, BlockUpdate& blocks)
      : neurons_(neurons), rotated_(blocks.exact()), inverse_(neurons.d, neurons.size()) {
    const Index d = neurons.d, c = neurons.c;
    for (Index k = 0; k < neurons.size(); ++k) {
      const Index group = neurons.pattern(neurons.gate_of(k));
      const double t = neurons.threshold[k];
      Vector values, a = neurons.at.col(k).head(d);
      Matrix C = neurons.block(neurons.clipped, neurons.gate_of(k));
      if (rotated_) {
        const BlockSpectrum& G = blocks.spectrum(group);
        vectors_.push_back(&G.vectors);
        values = G.values;
        a = G.vectors.transpose() * a;
        C = G.vectors.transpose() * C;
      } else {
        values = Vector::Constant(d, blocks.trace(group) / static_cast<double>(d));
      }
      inverse_.col(k) = (neurons.singular[k] * values.array() + t).inverse();
      Matrix coupling = values.cwiseProduct(a) * neurons.at.col(k).tail(c).transpose() - C;
      const double own = a.dot(values.cwiseProduct(a)) + t;
      Matrix schur = -coupling.transpose() * inverse_.col(k).asDiagonal() * coupling;
      schur.diagonal().array() += (1 + kShift) * own;
      coupling_.push_back(std::move(coupling));
      factors_.emplace_back(schur);
    }
  }

  void apply(const Matrix& from, Matrix& to) const {
    Vector x(neurons_.d), y(neurons_.c);
    for (Index k = 0; k < from.cols(); ++k) {
      const auto at = static_cast<std::size_t>(k);
      const Matrix& coupling = coupling_[at];
      x = from.col(k).head(neurons_.d);
      if (rotated_) x = vectors_[at]->transpose() * x;
      y = from.col(k).tail(neurons_.c) - coupling.transpose() * inverse_.col(k).cwiseProduct(x);
      factors_[at].solveInPlace(y);
      x = inverse_.col(k).cwiseProduct(x - coupling * y);
      if (rotated_)
        to.col(k).head(neurons_.d).noalias() = *vectors_[at] * x;
      else
        to.col(k).head(neurons_.d) = x;
      to.col(k).tail(neurons_.c) = y;
    }
  }

 private:
  static constexpr double kShift = 1e-6;  // keeps rounding from making a complement indefinite

  const Neurons& neurons_;
  bool rotated_;
  Matrix inverse_;  // of the eigenvalues of s G + t I, (d, K)
  std::vector<const Matrix*> vectors_;
  std::vector<Matrix> coupling_;
  std::vector<Eigen::LLT<Matrix>> factors_;
};

template <class S>
Matrix NeuronNewton::direction(const Neurons& neurons) {
  constexpr double kForcing = 0.1;  // relative to the first residual, in the preconditioner's norm
  constexpr Index kMostCg = 100;
  const Preconditioner preconditioner(neurons, blocks_);
  Matrix x = Matrix::Zero(neurons.at.rows(), neurons.size()), r = neurons.descent, z = x, q;
  Matrix fitted(problem_.design.n_samples(), neurons.c), correlations(neurons.clipped);
  preconditioner.apply(r, z);
  Matrix s = z;
  double rz = r.cwiseProduct(z).sum();
  const double target = kForcing * kForcing * rz;
  Index iterations = 0;
  for (; iterations < kMostCg && rz > target; ++iterations) {
    problem_.design.monitor().poll();
    neurons.design.fitted<S>(neurons.tangent(s), fitted);
    problem_.project(fitted);
    neurons.design.correlations<S>(fitted, correlations);
    q = s * neurons.threshold.asDiagonal();
    neurons.add_products(correlations, neurons.at, 1, q);
    neurons.add_products(neurons.clipped, s, -1, q);
    const double curvature = s.cwiseProduct(q).sum();
    if (!(curvature > 0 && rz > 0)) break;
    const double length = rz / curvature;
    x += length * s;
    r -= length * q;
    preconditioner.apply(r, z);
    const double next = r.cwiseProduct(z).sum();
    s = z + (next / rz) * s;
    rz = next;
  }
  n_cg_ += iterations;
  work_ += static_cast<double>(iterations + 1) * 2 * problem_.design.product_work(neurons.design.size(), neurons.c);
  return x;
}

bool NeuronNewton::line_search(const Neurons& neurons, const Matrix& direction, Iterate& iterate) {
  Matrix first(iterate.residual.rows(), iterate.residual.cols()), second = first;
  neurons.design.fitted<double>(neurons.tangent(direction), first);
  neurons.design.fitted<double>(neurons.blocks(direction), second);
  problem_.project(first);
  problem_.project(second);
  const Matrix weighted = direction * neurons.threshold.asDiagonal();
  const double length = first_minimum({
      -direction.cwiseProduct(neurons.descent).sum(),
      0.5 * (first.squaredNorm() + direction.cwiseProduct(weighted).sum()) -
          iterate.residual.cwiseProduct(second).sum(),
      first.cwiseProduct(second).sum(),
      0.5 * second.squaredNorm(),
  });
  if (length == 0) return false;
  const Matrix blocks = neurons.blocks(neurons.at + length * direction);
  for (Index i = 0; i < neurons.design.size(); ++i) iterate.coef.col(neurons.pattern(i)) = blocks.col(i);
  iterate.residual -= length * first + (length * length) * second;
  return true;
}

bool NeuronNewton::step(Iterate& iterate) {
  std::vector<Index> groups = iterate.active();
  if (groups.empty()) return false;
  const Neurons neurons(problem_, iterate, std::move(groups));
  ++n_steps_;
  if (single_ && line_search(neurons, direction<float>(neurons), iterate)) return true;
  single_ = false;
  return line_search(neurons, direction<double>(neurons), iterate);
}

}  // namespace cvxrelu
