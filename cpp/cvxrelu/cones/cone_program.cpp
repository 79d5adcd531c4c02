#include "cvxrelu/cones/cone_program.hpp"

#include <algorithm>
#include <limits>
#include <set>

#include "cvxrelu/base/errors.hpp"

namespace cvxrelu {

namespace {

constexpr Index kLeastGrowth = 20;   // cones that may always join the working set in a round
constexpr Index kProximalEarly = 2;  // proximal steps while the working set still changes
constexpr Index kProximalLate = 60;
constexpr int kMostIdleRounds = 5;  // rounds in which nothing joins and the target is missed
constexpr double kThresholdSlack = 1e-13;

}  // namespace

ConeProgram::ConeProgram(ConeList& list, std::unique_ptr<ConeLoss> loss, const MatrixView& unpenalised, double ridge)
    : list_(list), loss_(std::move(loss)), unpenalised_(unpenalised), ridge_(ridge) {
  const Index n = list_.X().rows();
  require(loss_->n_samples() == n, "y must have one entry per sample");
  require(unpenalised_.rows() == n, "the unpenalised columns must have one entry per sample");
  require(ridge >= 0, "the ridge must not be negative");
  gamma_at_zero_ = Vector::Zero(unpenalised_.cols());
  loss_->fit_unpenalised(unpenalised_, Vector::Zero(n), gamma_at_zero_);
  const Vector output = unpenalised_ * gamma_at_zero_;
  residual_at_zero_ = loss_->residual(output);
  at_zero_ = loss_->value(output, residual_at_zero_);
  at_.gamma = gamma_at_zero_;
}

void ConeProgram::start(const std::vector<SignedCone>& cones, const MatrixView& blocks) {
  ConeProjector projector(list_.rows());
  at_.blocks.clear();
  for (std::size_t k = 0; k < cones.size(); ++k) {
    const Index i = cones[k].pattern;
    require(i >= 0 && i < list_.size(), "a block to start from has no pattern");
    const Vector given = blocks.col(static_cast<Index>(k));
    ConeBlock block{cones[k], given, {}};
    projector.project(list_.pattern(i), list_.pool(i), given.data(), 0, ConeProjector::Check::all, block.face);
    block.value = projector.point();
    if (block.nonzero()) at_.blocks.push_back(std::move(block));
  }
  at_.dual = {};
}

// The working set becomes the non-zero blocks and the worst violated cones.
void ConeProgram::grow(const Pricing& pricing, Index limit, Index& added) {
  std::vector<ConeBlock>& blocks = at_.blocks;
  blocks.erase(std::remove_if(blocks.begin(), blocks.end(), [](const ConeBlock& b) { return !b.nonzero(); }),
               blocks.end());
  std::set<std::pair<Index, int>> present;
  for (const ConeBlock& block : blocks) present.insert({block.cone.pattern, block.cone.sign});
  added = 0;
  for (const Violation& violation : pricing.violations) {
    if (added == limit) break;
    if (!present.insert({violation.cone.pattern, violation.cone.sign}).second) continue;
    blocks.push_back({violation.cone, Vector::Zero(list_.rows().dimension()), list_.support(violation.cone)});
    ++added;
  }
}

// Of the network that the blocks are, with the best coefficients of the unpenalised columns.
Vector ConeProgram::output() {
  Vector output = network_output(list_.X(), at_.blocks);
  if (at_.gamma.size() == 0) return output;
  loss_->fit_unpenalised(unpenalised_, output, at_.gamma);
  return output + unpenalised_ * at_.gamma;
}

ConeProgramResult ConeProgram::solve(double beta, const ConeProgramSettings& settings, Monitor& monitor) {
  require(beta > 0, "beta must be positive");
  const Index d = list_.X().cols();
  if (at_.dual.theta.size() == 0) {
    at_.dual.output = output();
    at_.dual.theta = loss_->residual(at_.dual.output);
  }
  const ConeObjective problem{list_, *loss_, beta, ridge_, unpenalised_};
  double step_unit = 2.0 * static_cast<double>(d) / problem.squares(at_.dual);
  ConeNewton newton(problem);
  ConeProgramResult result;
  result.beta = beta;
  double best_gap = std::numeric_limits<double>::infinity();
  double sharpness = 1;
  int idle = 0;
  Index newton_before = -1;
  for (Index round = 0;; ++round) {
    Index active = 0;
    double penalty = 0;
    for (const ConeBlock& block : at_.blocks) {
      active += block.nonzero();
      penalty += problem.penalty(block);
    }
    const Vector outputs = output(), residual = loss_->residual(outputs);
    const Index limit = std::max<Index>({kLeastGrowth, d, active});
    const Pricing pricing = list_.price(residual, beta * (1 + kThresholdSlack), 2 * limit + active);
    const NetworkGap certified = network_gap(problem, at_.blocks, outputs, residual, pricing);
    const double objective = loss_->value(outputs, residual) + penalty;
    if (certified.gap < best_gap) {
      best_gap = certified.gap;
      result.cones.clear();
      result.blocks.resize(d, active);
      for (const ConeBlock& block : at_.blocks)
        if (block.nonzero()) {
          result.blocks.col(static_cast<Index>(result.cones.size())) = block.value;
          result.cones.push_back(block.cone);
        }
      result.gamma = at_.gamma;
      result.output = outputs;
      result.residual = residual;
      result.dual = certified.scale * residual;
      result.objective = objective;
      result.gap = certified.gap;
      result.relative_gap = at_zero_ > 0 ? certified.gap / at_zero_ : 0;
      result.dual_norm = pricing.bound;
      result.own_excess = certified.own_excess;
      result.other_excess = certified.other_excess;
    }
    result.n_iter = round + 1;
    result.converged = result.relative_gap <= settings.tol;
    result.stopped =
        !monitor.report({round, objective, certified.gap, certified.gap / std::max(at_zero_, 1e-300), active});
    if (result.converged || result.stopped || round + 1 >= settings.max_iter) break;

    if (!loss_->straight() && result.work.n_newton == newton_before) {
      // The dual point is where the loss is so flat that its gradient looks like none: that of the blocks is not.
      at_.dual = {residual, outputs};
      step_unit = 2.0 * static_cast<double>(d) / problem.squares(at_.dual);
      at_.sigma = 3 * step_unit;
    }
    newton_before = result.work.n_newton;
    Index added = 0;
    grow(pricing, limit, added);
    const double aim = 0.3 * settings.tol * at_zero_ * sharpness;
    if (added == 0) {
      sharpness *= 0.3;
      if (++idle > kMostIdleRounds) break;
    } else {
      idle = 0;
    }
    const double target = added == 0 ? std::min(0.3 * settings.tol * at_zero_, std::max(aim, 0.03 * certified.gap))
                                     : std::max(aim, 0.1 * certified.gap);
    at_.sigma = at_.sigma == 0 ? 3 * step_unit : std::max(0.05 * at_.sigma, 10 * step_unit);
    const bool settling = 10 * added > static_cast<Index>(at_.blocks.size()) && round < 30;
    newton.solve(at_, target, settling ? kProximalEarly : kProximalLate, result.work);
  }
  return result;
}

}  // namespace cvxrelu
