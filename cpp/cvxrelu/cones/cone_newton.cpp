#include "cvxrelu/cones/cone_newton.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace cvxrelu {

namespace {

constexpr int kMostNewton = 50;            // steps for one proximal point
constexpr int kMostTrials = 30;            // points on a line
constexpr double kCurvature = 0.5;         // part of the slope that a step on a line may leave
constexpr int kMostStalls = 12;            // proximal steps that do not halve the gap
constexpr double kProximalAccuracy = 0.5;  // of a proximal point, relative to the step that leads there
constexpr double kLeastAccuracy = 5e-3;    // after steps that did not halve the gap
constexpr double kStiffness = 100;         // of proximal steps on gamma, relative to those on a block
constexpr double kFlat = 1e-3;             // root of a curvature, relative to the largest, that is not divided by
constexpr double kHidden = 1e-13;          // of psi, below which its rounding hides a decrease
constexpr double kNewtonAccuracy = 0.1;    // of Newton's direction: the residual of its system

}  // namespace

double ConeObjective::squares(const DualPoint& at) const {
  const RowMatrixView& X = list.X();
  return loss.straight() ? X.squaredNorm() : loss.majoriser(at).dot(X.rowwise().squaredNorm());
}

Vector network_output(const RowMatrixView& X, const std::vector<ConeBlock>& blocks) {
  Vector output = Vector::Zero(X.rows()), product(X.rows());
  for (const ConeBlock& block : blocks)
    if (block.nonzero()) {
      product.noalias() = X * block.value;
      output += block.cone.sign * product.cwiseMax(0.0);
    }
  return output;
}

namespace {

// What the ridge leaves of the constraints at the dual point `scale` r: a penalty for each cone in which that exceeds
// its bound, for the cones of the non-zero blocks in their order, and summed over the others.
struct RidgeExcess {
  std::vector<double> own;
  double others = 0;
};

RidgeExcess ridge_excess(const ConeObjective& objective, const std::vector<SignedCone>& cones, const Pricing& pricing,
                         double scale) {
  RidgeExcess result{std::vector<double>(cones.size(), 0.0), 0};
  if (objective.ridge == 0) return result;
  std::map<std::pair<Index, int>, std::size_t> blocks;
  for (std::size_t b = 0; b < cones.size(); ++b) blocks[{cones[b].pattern, cones[b].sign}] = b;
  for (const std::vector<Violation>* list : {&pricing.violations, &pricing.open})
    for (const Violation& violation : *list) {
      const Index i = violation.cone.pattern;
      const double excess = objective.list.weight(i) * std::max(0.0, scale * violation.norm - objective.beta);
      const auto block = blocks.find({i, violation.cone.sign});
      double& sum = block == blocks.end() ? result.others : result.own[block->second];
      sum += excess * excess / (2 * objective.ridge);
    }
  return result;
}

}  // namespace

NetworkGap network_gap(const ConeObjective& objective, const std::vector<ConeBlock>& blocks, const VectorView& output,
                       const VectorView& residual, const Pricing& pricing) {
  const RowMatrixView& X = objective.list.X();
  std::vector<SignedCone> cones;
  std::vector<double> penalties, earned;
  Vector product(X.rows());
  for (const ConeBlock& block : blocks)
    if (block.nonzero()) {
      product.noalias() = X * block.value;
      cones.push_back(block.cone);
      penalties.push_back(objective.penalty(block));
      earned.push_back(block.cone.sign * residual.dot(product.cwiseMax(0.0)));
    }
  const auto at = [&](double scale, double divergence) {
    NetworkGap result{divergence, scale, {}, 0};
    RidgeExcess excess = ridge_excess(objective, cones, pricing, scale);
    for (std::size_t b = 0; b < penalties.size(); ++b)
      result.gap += std::max(0.0, penalties[b] - scale * earned[b] + excess.own[b]);
    result.gap += excess.others;
    result.own_excess = std::move(excess.own);
    result.other_excess = excess.others;
    return result;
  };
  const double most = pricing.bound > 0 ? objective.beta / pricing.bound : std::numeric_limits<double>::infinity();
  const ScaledResidual best = objective.loss.scaled(output, residual, most);
  NetworkGap result = at(best.scale, best.divergence);
  // With a ridge every multiple is feasible: what exceeds the constraints is dear where the ridge is small.
  for (int quarter = 0; objective.ridge > 0 && quarter < 4; ++quarter) {
    const double scale = std::pow(std::min(1.0, most), 0.25 * quarter);
    NetworkGap other = at(scale, objective.loss.divergence(output, residual, scale));
    if (other.gap < result.gap) result = std::move(other);
  }
  return result;
}

ConeNewton::ConeNewton(const ConeObjective& objective)
    : objective_(objective),
      list_(objective.list),
      loss_(objective.loss),
      n_(list_.X().rows()),
      d_(list_.X().cols()),
      hessian_(list_) {}

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

void ConeNewton::evaluate(const Matrix& correlations, const DualPoint& point, Evaluation& at) {
  const double kept = 1 / (1 + sigma_ * objective_.ridge);
  double penalty = 0;
  Vector shifted(d_);
  for (Index b = 0; b < values_.cols(); ++b) {
    const std::size_t k = static_cast<std::size_t>(b);
    shifted = values_.col(b) + sigma_ * correlations.col(b);
    const Index i = cones_[k].pattern;
    const double threshold = sigma_ * objective_.beta * list_.weight(i);
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
    proposal_.col(b) = kept * (1 - threshold / norm) * projector.point();
    penalty += (norm - threshold) * (norm - threshold);
  }
  at.psi = loss_.conjugate(point) + kept * penalty / (2 * sigma_);
  Matrix coefficients = Matrix::Zero(d_, design_->size());
  for (std::size_t b = 0; b < cones_.size(); ++b)
    coefficients.col(position_[b]) += cones_[b].sign * proposal_.col(static_cast<Index>(b));
  at.fit.resize(n_);
  design_->fitted<double>(coefficients, at.fit);
  add_unpenalised(point.theta, at);
  list_.monitor().poll();
}

void ConeNewton::add_unpenalised(const VectorView& theta, Evaluation& at) {
  if (gamma_.size() == 0) return;
  const double tau = stiffness_ * sigma_;
  gamma_proposal_ = gamma_ + tau * (objective_.unpenalised.transpose() * theta);
  at.psi += gamma_proposal_.squaredNorm() / (2 * tau);
  at.fit += objective_.unpenalised * gamma_proposal_;
}

// An approximate solution of H direction = -gradient.
DualPoint ConeNewton::newton_direction(const DualPoint& point, const VectorView& gradient) {
  std::vector<ConeFace> faces;
  for (Index b = 0; b < lengths_.size(); ++b)
    if (lengths_[b] > 0) {
      const std::size_t k = static_cast<std::size_t>(b);
      const double threshold = sigma_ * objective_.beta * list_.weight(cones_[k].pattern);
      faces.push_back(
          {position_[k], &projectors_[k].normals(), projected_.col(b) / lengths_[b], 1 - threshold / lengths_[b]});
    }
  if (gamma_.size() > 0) hessian_.set_unpenalised(objective_.unpenalised, stiffness_ * sigma_);
  hessian_.set(*design_, std::move(faces), sigma_ / (1 + sigma_ * objective_.ridge));
  const Vector roots = loss_.root_curvature(point);
  if (roots.size() == 0) return {hessian_.solve(-gradient, kNewtonAccuracy), Vector()};
  hessian_.set_curvature(roots);
  const Vector scaled = hessian_.solve(-roots.cwiseProduct(gradient), kNewtonAccuracy);
  DualPoint direction{roots.cwiseProduct(scaled), Vector(n_)};
  // W d f = -d theta. Where the loss is nearly flat, outputs follow those that the other samples lead to: a division
  // would make of what the system's residual is there an output of any size.
  const double flat = kFlat * roots.maxCoeff();
  if (roots.minCoeff() <= flat) direction.output = gradient + hessian_.blocks_product(direction.theta);
  for (Index j = 0; j < n_; ++j)
    if (roots[j] > flat) direction.output[j] = -scaled[j] / roots[j];
  return direction;
}

// The norm of a gradient in which psi, near its minimum, is above it by at most half the square.
double ConeNewton::size(const DualPoint& point, const VectorView& gradient) const {
  const Vector roots = loss_.root_curvature(point);
  return roots.size() == 0 ? gradient.norm() : roots.cwiseProduct(gradient).norm();
}

double ConeNewton::moved() const {
  const double blocks = (proposal_ - values_).norm();
  if (gamma_.size() == 0) return blocks;
  return std::hypot(blocks, (gamma_proposal_ - gamma_).norm() / std::sqrt(stiffness_));
}

// Minimises psi from a point; leaves the evaluation there, with all rows looked at. Returns the Newton steps taken.
Index ConeNewton::minimise(DualPoint& point, Evaluation& at, ConeWork& work) {
  check_ = ConeProjector::Check::all;
  Matrix correlations = gradients(point.theta), along, trial_correlations;
  Vector gradient;
  const auto look = [&] {
    evaluate(correlations, point, at);
    loss_.settle(point, at.fit);
    gradient = at.fit - point.output;
  };
  look();
  DualPoint trial_point;
  Evaluation trial;
  bool exhausted = false;  // rounding allows no further decrease
  int looks = 0;
  Index steps = 0;
  for (; steps < kMostNewton; ++steps) {
    const double accuracy = std::min(accuracy_ * moved() / std::sqrt(sigma_), 1e-2 * point.theta.norm());
    const double before = size(point, gradient);
    const bool converged = before <= std::max(accuracy, 1e-13 * loss_.output_size(point));
    resolved_ = converged;
    if (converged || exhausted) {
      if (check_ == ConeProjector::Check::all) break;
      // So far against the pools: psi with all rows is no larger, and where it differs the steps go on.
      check_ = ConeProjector::Check::all;
      const double psi = at.psi;
      look();
      exhausted = false;
      if ((std::abs(at.psi - psi) <= 1e-16 * std::abs(at.psi) && converged) || ++looks > 20) break;
      continue;
    }
    check_ = ConeProjector::Check::pool;
    ++work.n_newton;
    const DualPoint direction = newton_direction(point, gradient);
    if (loss_.straight()) along = gradients(direction.theta);
    const double slope = gradient.dot(loss_.velocity(point, direction));
    // psi falls along the way, with kinks: a bracket of its minimum shrinks by false position (Illinois variant), from
    // Newton's step, until its slope is small enough. The slope tells where it is when rounding hides how much psi
    // falls.
    const double hidden = kHidden * std::abs(at.psi);
    double step = 1, low = 0, high = 0, low_slope = slope, high_slope = 0;
    bool ended_high = false;
    for (int trials = 1;; ++trials) {
      loss_.move(point, direction, step, trial_point);
      if (loss_.straight())
        trial_correlations = correlations + step * along;
      else
        trial_correlations = gradients(trial_point.theta);
      evaluate(trial_correlations, trial_point, trial);
      if (trials == kMostTrials) break;
      if (!std::isfinite(trial.psi)) {  // an exponential is beyond the range of float64
        high = step;
        step = low + 0.1 * (high - low);
        continue;
      }
      const double steepness = (trial.fit - trial_point.output).dot(loss_.velocity(trial_point, direction));
      const bool enough = trial.psi <= at.psi + (-slope * step < hidden ? hidden : 1e-4 * step * slope);
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
      // Where a loss saturates psi may be high and flat, which says nothing of where its minimum is.
      const double part = low_slope / (low_slope - high_slope);
      step = low + std::clamp(part, 0.05, enough ? 0.95 : 0.5) * (high - low);
    }
    if (!(trial.psi <= at.psi + hidden)) {
      evaluate(correlations, point, at);
      exhausted = true;
      continue;
    }
    std::swap(point, trial_point);
    std::swap(at, trial);
    if (loss_.straight() && steps % 10 == 9)
      correlations = gradients(point.theta);
    else
      std::swap(correlations, trial_correlations);
    loss_.settle(point, at.fit);
    gradient = at.fit - point.output;
    exhausted = std::abs(slope) < 1e-15 * std::abs(at.psi) && size(point, gradient) > 0.5 * before;
  }
  if (check_ == ConeProjector::Check::pool) {
    check_ = ConeProjector::Check::all;
    look();
  }
  return steps;
}

// The gap over the cones of the working set, of the blocks as they are, which fit `fit`.
double ConeNewton::restricted_gap(const Vector& fit) {
  Vector output = fit;
  if (gamma_.size() > 0) {
    const Vector others = fit - objective_.unpenalised * gamma_;
    Vector best = gamma_;
    loss_.fit_unpenalised(objective_.unpenalised, others, best);
    output = others + objective_.unpenalised * best;
  }
  const Vector residual = loss_.residual(output);
  const Matrix correlations = gradients(residual);
  Pricing pricing;
  pricing.bound = objective_.beta;
  std::vector<ConeBlock> blocks;
  std::vector<Index> support;
  for (std::size_t b = 0; b < cones_.size(); ++b) {
    const Index column = static_cast<Index>(b), i = cones_[b].pattern;
    support = faces_[b];
    const double least = objective_.ridge > 0 ? objective_.beta : pricing.bound, weight = list_.weight(i);
    const double norm = projectors_[b].project(list_.pattern(i), list_.pool(i), correlations.col(column).data(),
                                               least * weight, ConeProjector::Check::all, support) /
                        weight;
    pricing.bound = std::max(pricing.bound, norm);
    if (objective_.ridge > 0) pricing.violations.push_back({cones_[b], norm});
    blocks.push_back({cones_[b], values_.col(column)});
  }
  return network_gap(objective_, blocks, output, residual, pricing).gap;
}

void ConeNewton::solve(ConeIterate& iterate, double gap_target, Index max_proximal, ConeWork& work) {
  gather(iterate.blocks);
  gamma_ = gamma_proposal_ = iterate.gamma;
  const double curvature =
      objective_.squares(iterate.dual) / (2.0 * static_cast<double>(d_));  // of one block, typically
  stiffness_ = kStiffness * curvature / loss_.majoriser(iterate.dual).mean();
  double best_gap = std::numeric_limits<double>::infinity();
  double& sigma = iterate.sigma;
  int stalls = 0;
  accuracy_ = kProximalAccuracy;
  Evaluation at;
  struct {
    Matrix values;
    Vector gamma;
    std::vector<std::vector<Index>> faces;
    DualPoint dual;
  } best;
  for (Index outer = 0; outer < max_proximal; ++outer) {
    ++work.n_proximal;
    sigma_ = sigma;
    const Index steps = minimise(iterate.dual, at, work);
    const double change = moved() / std::max(1e-300, proposal_.norm());
    values_ = proposal_;
    gamma_ = gamma_proposal_;
    const double gap = restricted_gap(at.fit);
    const bool no_better = gap > 0.9 * best_gap;
    stalls = gap > 0.5 * best_gap ? stalls + 1 : 0;
    if (gap < best_gap) {
      best_gap = gap;
      best = {values_, gamma_, faces_, iterate.dual};
    }
    if (gap <= gap_target || (change < 1e-11 && outer > 0)) break;
    if (stalls > 0) accuracy_ = std::max(accuracy_ / 10, kLeastAccuracy);
    if (stalls > kMostStalls) break;
    if (no_better && (steps == 0 || (!resolved_ && steps < kMostNewton)))
      sigma /= 20;  // u + sigma A'theta has lost digits
    else if (steps < kMostNewton)
      sigma = std::min(sigma * (steps <= 6 ? 5 : 3), 1e8 / curvature);
    else
      sigma /= 2;
  }
  if (!resolved_ && best_gap < std::numeric_limits<double>::infinity()) {
    values_ = best.values;
    gamma_ = best.gamma;
    faces_ = best.faces;
    iterate.dual = best.dual;
  }
  iterate.gamma = gamma_;
  for (std::size_t b = 0; b < iterate.blocks.size(); ++b) {
    iterate.blocks[b].value = values_.col(static_cast<Index>(b));
    iterate.blocks[b].face = faces_[b];
  }
}

}  // namespace cvxrelu
