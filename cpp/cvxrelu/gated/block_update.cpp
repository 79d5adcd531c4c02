#include "cvxrelu/gated/block_update.hpp"

#include <Eigen/Eigenvalues>
#include <cmath>

namespace cvxrelu {

namespace {

// The root s > 0 of sum_k b_k^2 / (e_k s + t)^2 = 1, for sum b_k^2 > t^2.
double secular_root(const Vector& values, const Vector& squared, double threshold, double start) {
  const double largest = values.maxCoeff();
  double s = std::max(start, (std::sqrt(squared.sum()) - threshold) / largest);  // a bound from below
  for (int iteration = 0; iteration < 100; ++iteration) {
    double value = 0, slope = 0;
    for (Index k = 0; k < values.size(); ++k) {
      const double e = values[k], denominator = e * s + threshold, q = squared[k] / (denominator * denominator);
      value += q;
      slope += q * e / denominator;
    }
    // Newton on 1/sqrt(value) - 1: derivative slope / value^(3/2).
    const double next = s + (std::sqrt(value) - 1) * value / slope;
    const double positive = next > 0 ? next : s / 2;
    if (std::abs(positive - s) <= 1e-15 * s) return positive;
    s = positive;
  }
  return s;
}

// With singular values less by `by`, or 0.
Matrix shrunk(const Matrix& block, double by) {
  const ThinSvd svd = thin_svd(block);
  return svd.left * (svd.values.array() - by).max(0.0).matrix().asDiagonal() * svd.right.transpose();
}

}  // namespace

const BlockSpectrum& BlockUpdate::spectrum(Index group) {
  const auto found = spectra_.find(group);
  if (found != spectra_.end()) return found->second;
  const Index d = design_.n_features();
  Matrix gram(d, d);
  design_.gram(group, gram);
  const Eigen::SelfAdjointEigenSolver<Matrix> solver(gram);
  return spectra_.emplace(group, BlockSpectrum{solver.eigenvalues().cwiseMax(0.0), solver.eigenvectors()})
      .first->second;
}

double BlockUpdate::trace(Index group) {
  const auto [found, unknown] = traces_.try_emplace(group);
  if (unknown) found->second = design_.trace(group);
  return found->second;
}

const Matrix& BlockUpdate::small_gram() {
  if (small_gram_.size() == 0) {
    const RowMatrixView& X = design_.X();
    if (X.cols() <= X.rows()) {
      small_gram_.resize(X.cols(), X.cols());
      design_.gram(-1, small_gram_);
    } else {
      small_gram_.noalias() = X * X.transpose();
    }
  }
  return small_gram_;
}

double BlockUpdate::norm_bound() {
  if (norm_bound_ == 0) {
    norm_bound_ = std::sqrt(small_gram().cwiseAbs().rowwise().sum().maxCoeff());
  }
  return norm_bound_;
}

double BlockUpdate::step_curvature() {
  if (curvature_ > 0) return curvature_;
  // The power method from a vector that is no eigenvector by accident; a tenth is added since it converges from below,
  // and steps up to twice the reciprocal still descend.
  const Matrix& gram = small_gram();
  Vector v = Vector::LinSpaced(gram.rows(), 1.0, 2.0).normalized();
  for (int iteration = 0; iteration < 20; ++iteration) {
    const Vector image = gram * v;
    const double norm = image.norm();
    if (norm == 0) break;
    curvature_ = 1.1 * norm;
    v = image / norm;
  }
  return curvature_ > 0 ? curvature_ : curvature_ = 1;
}

void BlockUpdate::minimise_block(const GroupLassoProblem& problem, Index group, const Matrix& correlation,
                                 Eigen::Ref<Matrix> block) {
  if (problem.nuclear()) return minimise_nuclear(problem, group, correlation, block);
  const double threshold = problem.threshold(group), norm = block.norm();
  if (norm == 0 && correlation.norm() <= threshold) return;
  if (!exact()) {
    const double curvature = step_curvature();
    block += (correlation - problem.ridge * block) / curvature;
    const double length = block.norm() * curvature;
    block *= length > threshold ? 1 - threshold / length : 0.0;
    return;
  }
  const BlockSpectrum& G = spectrum(group);
  // B = A'R + G W in the eigenbasis: the correlation if this block were zero.
  const Matrix rotated = G.vectors.transpose() * block;
  const Matrix B = G.vectors.transpose() * correlation + G.values.asDiagonal() * rotated;
  const Vector squared = B.rowwise().squaredNorm();
  if (squared.sum() <= threshold * threshold) {
    block.setZero();
    return;
  }
  const Vector values = G.values.array() + problem.ridge;
  if (values.maxCoeff() <= 0) return;
  const double s = secular_root(values, squared, threshold, norm);
  block.noalias() = G.vectors * ((values * s).array() + threshold).inverse().matrix().asDiagonal() * (s * B);
}

void BlockUpdate::minimise_nuclear(const GroupLassoProblem& problem, Index group, const Matrix& correlation,
                                   Eigen::Ref<Matrix> block) {
  const double threshold = problem.threshold(group);
  if (!exact()) {
    const double curvature = step_curvature();
    block = shrunk(block + correlation / curvature, threshold / curvature);
    return;
  }
  const BlockSpectrum& G = spectrum(group);
  Matrix W = G.vectors.transpose() * block;
  const Matrix B = G.vectors.transpose() * correlation + G.values.asDiagonal() * W;
  if (B.norm() <= threshold || singular_values(B).maxCoeff() <= threshold) {
    block.setZero();
    return;
  }
  // Accelerated proximal gradient steps (Beck and Teboulle, 2009), begun anew where they turn.
  const double curvature = G.values.maxCoeff();
  Matrix ahead = W, next;
  double t = 1;
  for (int iteration = 0; iteration < kMostProximal; ++iteration) {
    next = shrunk(ahead + (B - G.values.asDiagonal() * ahead) / curvature, threshold / curvature);
    const Matrix change = next - W;
    if ((ahead - next).cwiseProduct(change).sum() > 0) t = 1;
    const double following = 0.5 * (1 + std::sqrt(1 + 4 * t * t));
    ahead = next + ((t - 1) / following) * change;
    t = following;
    W.swap(next);
    if (change.norm() <= kSettled * W.norm()) break;
  }
  block.noalias() = G.vectors * W;
}

void BlockUpdate::sweep(const GroupLassoProblem& problem, const std::vector<Index>& groups, Iterate& iterate) {
  const Index d = design_.n_features(), c = problem.Y.cols();
  const bool projected = problem.unpenalised.cols() > 0;
  Matrix correlation(d, c), delta = Matrix::Zero(d, c), before(d, c);
  Index changed = -1;  // the group whose step is not in the residual yet
  for (const Index group : groups) {
    design_.monitor().poll();
    if (projected && changed >= 0) {
      design_.update_and_correlate(changed, delta.data(), iterate.residual, -1, correlation);
      problem.project(iterate.residual);
      changed = -1;
    }
    design_.update_and_correlate(changed, delta.data(), iterate.residual, group, correlation);
    if (problem.linear) correlation += problem.linear->col(group).reshaped(d, c);
    Eigen::Map<Matrix> block(iterate.coef.col(group).data(), d, c);
    before = block;
    minimise_block(problem, group, correlation, block);
    delta = block - before;
    changed = delta.isZero(0) ? -1 : group;
  }
  design_.update_and_correlate(changed, delta.data(), iterate.residual, -1, correlation);
  if (changed >= 0) problem.project(iterate.residual);
}

}  // namespace cvxrelu
