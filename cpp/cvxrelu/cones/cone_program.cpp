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

void ConeProgram::start(const std::vector<SignedCone>& cones, const MatrixView& blocks) {
  ConeProjector projector(list_.rows());
  blocks_.clear();
  for (std::size_t k = 0; k < cones.size(); ++k) {
    const Index i = cones[k].pattern;
    require(i >= 0 && i < list_.size(), "a block to start from has no pattern");
    const Vector given = blocks.col(static_cast<Index>(k));
    ConeBlock block{cones[k], given, {}};
    projector.project(list_.pattern(i), list_.pool(i), given.data(), 0, ConeProjector::Check::all, block.face);
    block.value = projector.point();
    if (block.nonzero()) blocks_.push_back(std::move(block));
  }
  theta_.resize(0);
}

// The working set becomes the non-zero blocks and the worst violated cones.
void ConeProgram::grow(const Pricing& pricing, Index limit, Index& added) {
  blocks_.erase(std::remove_if(blocks_.begin(), blocks_.end(), [](const ConeBlock& b) { return !b.nonzero(); }),
                blocks_.end());
  std::set<std::pair<Index, int>> present;
  for (const ConeBlock& block : blocks_) present.insert({block.cone.pattern, block.cone.sign});
  added = 0;
  for (const Violation& violation : pricing.violations) {
    if (added == limit) break;
    if (!present.insert({violation.cone.pattern, violation.cone.sign}).second) continue;
    blocks_.push_back({violation.cone, Vector::Zero(list_.rows().dimension()), list_.support(violation.cone)});
    ++added;
  }
}

ConeProgramResult ConeProgram::solve(double beta, const ConeProgramSettings& settings, Monitor& monitor) {
  require(beta > 0, "beta must be positive");
  require(y_.size() == list_.X().rows(), "y must have one entry per sample");
  const RowMatrixView& X = list_.X();
  const Index d = X.cols();
  const double at_zero = 0.5 * y_.squaredNorm();
  const double step_unit = 2.0 * static_cast<double>(d) / X.squaredNorm();
  if (theta_.size() == 0) theta_ = y_ - network_output(X, blocks_);

  ConeNewton newton(list_, y_, beta);
  ConeProgramResult result;
  result.beta = beta;
  double best_gap = std::numeric_limits<double>::infinity();
  double sharpness = 1;
  int idle = 0;
  for (Index round = 0;; ++round) {
    Index active = 0;
    double penalty = 0;
    for (const ConeBlock& block : blocks_) {
      active += block.nonzero();
      penalty += beta * block.value.norm();
    }
    const Vector residual = y_ - network_output(X, blocks_);
    const Index limit = std::max<Index>({kLeastGrowth, d, active});
    const Pricing pricing = list_.price(residual, beta * (1 + kThresholdSlack), 2 * limit + active);
    const NetworkGap certified = network_gap(X, y_, blocks_, residual, pricing.bound, beta);
    const double objective = 0.5 * residual.squaredNorm() + penalty;
    if (certified.gap < best_gap) {
      best_gap = certified.gap;
      result.cones.clear();
      result.blocks.resize(d, active);
      for (const ConeBlock& block : blocks_)
        if (block.nonzero()) {
          result.blocks.col(static_cast<Index>(result.cones.size())) = block.value;
          result.cones.push_back(block.cone);
        }
      result.residual = residual;
      result.dual = certified.scale * residual;
      result.objective = objective;
      result.gap = certified.gap;
      result.relative_gap = at_zero > 0 ? certified.gap / at_zero : 0;
      result.dual_norm = pricing.bound;
    }
    result.n_iter = round + 1;
    result.converged = result.relative_gap <= settings.tol;
    result.stopped =
        !monitor.report({round, objective, certified.gap, certified.gap / std::max(at_zero, 1e-300), active});
    if (result.converged || result.stopped || round + 1 >= settings.max_iter) break;

    Index added = 0;
    grow(pricing, limit, added);
    const double aim = 0.3 * settings.tol * at_zero * sharpness;
    if (added == 0) {
      sharpness *= 0.3;
      if (++idle > kMostIdleRounds) break;
    } else {
      idle = 0;
    }
    const double target = added == 0 ? std::min(0.3 * settings.tol * at_zero, std::max(aim, 0.03 * certified.gap))
                                     : std::max(aim, 0.1 * certified.gap);
    sigma_ = sigma_ == 0 ? 3 * step_unit : std::max(0.05 * sigma_, 10 * step_unit);
    const bool settling = 10 * added > static_cast<Index>(blocks_.size()) && round < 30;
    newton.solve(blocks_, target, settling ? kProximalEarly : kProximalLate, theta_, sigma_, result.work);
  }
  return result;
}

double cone_program_beta_max(ConeList& list, const VectorView& y) { return list.price(y, 0.0, 2 * list.size()).bound; }

}  // namespace cvxrelu
