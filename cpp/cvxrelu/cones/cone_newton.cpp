#include "cvxrelu/cones/cone_newton.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace cvxrelu {

namespace {

constexpr int kMostNewton = 50;            // steps for one proximal point
constexpr int kMostTrials = 30;            // points on a line
constexpr double kCurvature = 0.5;         // part of the slope that a step on a line may leave
constexpr int kMostStalls = 12;            // proximal steps that do not halve the gap
constexpr double kProximalAccuracy = 0.5;  // of a proximal point, relative to the step that leads there
constexpr double kLeastAccuracy = 5e-3;    // after steps that did not halve the gap
constexpr double kNewtonAccuracy = 0.1;    // of Newton's direction: the residual of its system

}  // namespace

Vector network_output(const RowMatrixView& X, const std::vector<ConeBlock>& blocks) {
  Vector output = Vector::Zero(X.rows()), product(X.rows());
  for (const ConeBlock& block : blocks)
    if (block.nonzero()) {
      product.noalias() = X * block.value;
      output += block.cone.sign * product.cwiseMax(0.0);
    }
  return output;
}

NetworkGap network_gap(const RowMatrixView& X, const VectorView& y, const std::vector<ConeBlock>& blocks,
                       const VectorView& residual, double nu, double beta) {
  NetworkGap result;
  const double squared = residual.squaredNorm();
  if (squared == 0) {
    for (const ConeBlock& block : blocks) result.gap += beta * block.value.norm();
    return result;
  }
  const double most = nu > 0 ? beta / nu : std::numeric_limits<double>::infinity();
  result.scale = std::clamp(y.dot(residual) / squared, -most, most);
  const double off = 1 - result.scale;
  result.gap = 0.5 * off * off * squared;
  Vector product(X.rows());
  for (const ConeBlock& block : blocks)
    if (block.nonzero()) {
      product.noalias() = X * block.value;
      const double earned = block.cone.sign * result.scale * residual.dot(product.cwiseMax(0.0));
      result.gap += std::max(0.0, beta * block.value.norm() - earned);
    }
  return result;
}

ConeNewton::ConeNewton(ConeList& list, const VectorView& y, double beta)
    : list_(list), y_(y), beta_(beta), n_(list.X().rows()), d_(list.X().cols()), hessian_(list) {}

void ConeNewton::gather(const std::vector<ConeBlock>& blocks) {
  const Index size = static_cast<Index>(blocks.size());
  cones_.clear();
  faces_.clear();
  projectors_.clear();
  projectors_.reserve(blocks.size());
  values_.resize(d_, size);
  proposal_.resize(d_, size);
  projected_.resize(d_, size);
  lengths_.resize(size);
  std::vector<Index> distinct;
  for (const ConeBlock& block : blocks) {
    values_.col(static_cast<Index>(cones_.size())) = block.value;
    cones_.push_back(block.cone);
    faces_.push_back(block.face);
    projectors_.emplace_back(list_.rows());
    distinct.push_back(block.cone.pattern);
  }
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  position_.clear();
  for (const SignedCone cone : cones_)
    position_.push_back(std::lower_bound(distinct.begin(), distinct.end(), cone.pattern) - distinct.begin());
  design_ = std::make_unique<RestrictedDesign>(list_.design(), std::move(distinct));
}

// s_b A_b'theta as columns.
Matrix ConeNewton::gradients(const VectorView& theta) const {
  Matrix distinct(d_, design_->size());
  design_->correlations<double>(theta, distinct);
  Matrix columns(d_, static_cast<Index>(cones_.size()));
  for (std::size_t b = 0; b < cones_.size(); ++b)
    columns.col(static_cast<Index>(b)) = cones_[b].sign * distinct.col(position_[b]);
  return columns;
}

void ConeNewton::evaluate(const Matrix& correlations, const VectorView& theta, Evaluation& at) {
  const double threshold = sigma_ * beta_;
  double penalty = 0;
  Vector shifted(d_);
  for (Index b = 0; b < values_.cols(); ++b) {
    const std::size_t k = static_cast<std::size_t>(b);
    shifted = values_.col(b) + sigma_ * correlations.col(b);
    const Index i = cones_[k].pattern;
    ConeProjector& projector = projectors_[k];
    const double norm =
        projector.project(list_.pattern(i), list_.pool(i), shifted.data(), threshold, check_, faces_[k]);
    if (norm <= threshold) {
      lengths_[b] = 0;
      proposal_.col(b).setZero();
      continue;
    }
    lengths_[b] = norm;
    projected_.col(b) = projector.point();
    proposal_.col(b) = (1 - threshold / norm) * projector.point();
    penalty += (norm - threshold) * (norm - threshold);
  }
  at.psi = 0.5 * theta.squaredNorm() - y_.dot(theta) + penalty / (2 * sigma_);
  Matrix coefficients = Matrix::Zero(d_, design_->size());
  for (std::size_t b = 0; b < cones_.size(); ++b)
    coefficients.col(position_[b]) += cones_[b].sign * proposal_.col(static_cast<Index>(b));
  at.fit.resize(n_);
  design_->fitted<double>(coefficients, at.fit);
  list_.monitor().poll();
}

// An approximate solution of H direction = -gradient.
Vector ConeNewton::newton_direction(const VectorView& gradient) {
  std::vector<ConeFace> faces;
  for (Index b = 0; b < lengths_.size(); ++b)
    if (lengths_[b] > 0) {
      const std::size_t k = static_cast<std::size_t>(b);
      faces.push_back(
          {position_[k], &projectors_[k].normals(), projected_.col(b) / lengths_[b], 1 - sigma_ * beta_ / lengths_[b]});
    }
  hessian_.set(*design_, std::move(faces), sigma_);
  return hessian_.solve(-gradient, kNewtonAccuracy);
}

// Minimises psi from theta; leaves the evaluation there, with all rows looked at. Returns the Newton steps taken.
Index ConeNewton::minimise(Vector& theta, Evaluation& at, ConeWork& work) {
  check_ = ConeProjector::Check::all;
  Matrix correlations = gradients(theta), along;
  evaluate(correlations, theta, at);
  Vector gradient = theta - y_ + at.fit, trial_theta;
  Evaluation trial;
  bool exhausted = false;  // rounding allows no further decrease
  int looks = 0;
  Index steps = 0;
  for (; steps < kMostNewton; ++steps) {
    const double moved = (proposal_ - values_).norm();
    const double accuracy = std::min(accuracy_ * moved / std::sqrt(sigma_), 1e-2 * theta.norm());
    const bool converged = gradient.norm() <= std::max(accuracy, 1e-13 * y_.norm());
    if (converged || exhausted) {
      if (check_ == ConeProjector::Check::all) break;
      // So far against the pools: psi with all rows is no larger, and where it differs the steps go on.
      check_ = ConeProjector::Check::all;
      const double before = at.psi;
      evaluate(correlations, theta, at);
      gradient = theta - y_ + at.fit;
      exhausted = false;
      if ((std::abs(at.psi - before) <= 1e-16 * std::abs(at.psi) && converged) || ++looks > 20) break;
      continue;
    }
    check_ = ConeProjector::Check::pool;
    ++work.n_newton;
    const Vector direction = newton_direction(gradient);
    along = gradients(direction);
    const double slope = gradient.dot(direction);
    // psi is convex along the direction, with kinks: a bracket of its minimum shrinks by false position (Illinois
    // variant), from Newton's step, until its slope is small enough.
    double step = 1, low = 0, high = 0, low_slope = slope, high_slope = 0;
    bool ended_high = false;
    for (int trials = 1;; ++trials) {
      trial_theta = theta + step * direction;
      evaluate(correlations + step * along, trial_theta, trial);
      if (std::abs(slope) * step < 1e-13 * std::abs(at.psi) || trials == kMostTrials) break;
      const double steepness = (trial_theta - y_ + trial.fit).dot(direction);
      const bool enough = trial.psi <= at.psi + 1e-4 * step * slope;
      if (enough && steepness <= -kCurvature * slope && (high == 0 || steepness >= kCurvature * slope)) break;
      if (steepness > 0 || !enough) {
        if (ended_high) low_slope /= 2;
        high = step;
        high_slope = std::max(steepness, 0.0);
        ended_high = true;
      } else {
        if (!ended_high) high_slope /= 2;
        low = step;
        low_slope = steepness;
        ended_high = false;
      }
      const double part = low_slope / (low_slope - high_slope);
      step = low + std::clamp(part, 0.05, 0.95) * (high - low);
    }
    theta = trial_theta;
    if (steps % 10 == 9)
      correlations = gradients(theta);
    else
      correlations += step * along;
    std::swap(at, trial);
    gradient = theta - y_ + at.fit;
    exhausted = std::abs(slope) < 1e-15 * std::abs(at.psi);
  }
  if (check_ == ConeProjector::Check::pool) {
    check_ = ConeProjector::Check::all;
    evaluate(correlations, theta, at);
  }
  return steps;
}

// The gap over the cones of the working set.
double ConeNewton::restricted_gap(const Vector& residual) {
  const Matrix correlations = gradients(residual);
  double nu = beta_;
  std::vector<ConeBlock> blocks;
  std::vector<Index> support;
  for (std::size_t b = 0; b < cones_.size(); ++b) {
    const Index column = static_cast<Index>(b), i = cones_[b].pattern;
    support = faces_[b];
    nu = std::max(nu, projectors_[b].project(list_.pattern(i), list_.pool(i), correlations.col(column).data(), nu,
                                             ConeProjector::Check::all, support));
    blocks.push_back({cones_[b], values_.col(column)});
  }
  return network_gap(list_.X(), y_, blocks, residual, nu, beta_).gap;
}

void ConeNewton::solve(std::vector<ConeBlock>& blocks, double gap_target, Index max_proximal, Vector& theta,
                       double& sigma, ConeWork& work) {
  gather(blocks);
  const double curvature = list_.X().squaredNorm() / (2.0 * static_cast<double>(d_));  // of one block, typically
  double best_gap = std::numeric_limits<double>::infinity();
  int stalls = 0;
  accuracy_ = kProximalAccuracy;
  Evaluation at;
  for (Index outer = 0; outer < max_proximal; ++outer) {
    ++work.n_proximal;
    sigma_ = sigma;
    const Index steps = minimise(theta, at, work);
    const double moved = (proposal_ - values_).norm() / std::max(1e-300, proposal_.norm());
    values_ = proposal_;
    const double gap = restricted_gap(y_ - at.fit);
    if (gap <= gap_target || (moved < 1e-11 && outer > 0)) break;
    const bool no_better = gap > 0.9 * best_gap;
    stalls = gap > 0.5 * best_gap ? stalls + 1 : 0;
    if (stalls > 0) accuracy_ = std::max(accuracy_ / 10, kLeastAccuracy);
    if (stalls > kMostStalls) break;
    best_gap = std::min(gap, best_gap);
    if (steps == 0 && no_better)
      sigma /= 20;  // u + sigma A'theta has lost digits
    else if (steps < kMostNewton)
      sigma = std::min(sigma * (steps <= 6 ? 5 : 3), 1e8 / curvature);
    else
      sigma /= 2;
  }
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    blocks[b].value = values_.col(static_cast<Index>(b));
    blocks[b].face = faces_[b];
  }
}

}  // namespace cvxrelu
