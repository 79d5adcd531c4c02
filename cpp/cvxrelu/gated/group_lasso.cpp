#include "cvxrelu/gated/group_lasso.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/gated/active_newton.hpp"
#include "cvxrelu/gated/anderson.hpp"
#include "cvxrelu/gated/block_update.hpp"
#include "cvxrelu/gated/dual_newton.hpp"
#include "cvxrelu/gated/duality.hpp"
#include "cvxrelu/gated/neuron_newton.hpp"
#include "cvxrelu/gated/screening.hpp"
#include "cvxrelu/gated/working_set.hpp"

namespace cvxrelu {

Iterate::Iterate(const GroupLassoProblem& problem)
    : coef(Matrix::Zero(problem.block_size(), problem.design.n_patterns())), residual(problem.Y) {}

std::vector<Index> Iterate::active() const {
  std::vector<Index> groups;
  for (Index i = 0; i < coef.cols(); ++i)
    if (coef.col(i).lpNorm<1>() != 0) groups.push_back(i);
  return groups;
}

void Iterate::refresh(const GroupLassoProblem& problem) {
  const RestrictedDesign design(problem.design, active());
  Matrix W(coef.rows(), design.size()), fitted(residual.rows(), residual.cols());
  for (Index a = 0; a < design.size(); ++a) W.col(a) = coef.col(design.patterns()[static_cast<std::size_t>(a)]);
  design.fitted<double>(W, fitted);
  residual = problem.Y - fitted;
  // Twice: what rounding leaves of one projection is relative to what it takes away, perhaps much beside the rest.
  problem.project(residual);
  problem.project(residual);
}

std::vector<Stage> continuation(double beta, double beta_max, double tol) {
  if (!(beta < 0.03 * beta_max)) return {};
  constexpr int kStages = 2;
  std::vector<Stage> stages;
  for (int stage = 1; stage <= kStages; ++stage) {
    const double ratio = std::pow(beta / beta_max, stage / (kStages + 1.0));
    stages.push_back({ratio * beta_max, std::max(tol, 1e-2 * ratio)});
  }
  return stages;
}

void GroupLassoResult::record(const Iterate& iterate, const MatrixView& residual, const DualityGap& certificate) {
  active = iterate.active();
  blocks.resize(iterate.coef.rows(), static_cast<Index>(active.size()));
  for (std::size_t a = 0; a < active.size(); ++a) blocks.col(static_cast<Index>(a)) = iterate.coef.col(active[a]);
  dual = certificate.scale * residual;
  objective = certificate.primal;
  gap = certificate.gap;
}

double group_lasso_beta_max(const GroupLassoProblem& problem) {
  Matrix correlations(problem.block_size(), problem.design.n_patterns());
  problem.design.correlations(problem.Y, correlations);
  double largest = 0;
  for (Index i = 0; i < correlations.cols(); ++i)
    largest = std::max(largest, problem.dual_norm(correlations.col(i)) / problem.group_weights[i]);
  return largest;
}

namespace {

class Solver {
 public:
  Solver(const GroupLassoProblem& problem, const GroupLassoSettings& settings, Monitor& monitor)
      : problem_(problem),
        settings_(settings),
        monitor_(monitor),
        blocks_(problem.design),
        space_(problem.design),
        working_set_(problem.design.n_patterns()) {}

  void solve(const std::vector<double>& betas, const MatrixView& start, std::vector<GroupLassoResult>& path) {
    Iterate iterate(problem_);
    bool cold = start.size() == 0;
    if (!cold) {
      const GroupLassoProblem problem = at(betas.front());
      iterate.coef = start;
      iterate.refresh(problem);
      cold = !(objective_over(problem, iterate.active(), iterate) <= problem.objective_at_zero());
      if (cold) iterate = Iterate(problem_);
    }
    if (cold && settings_.continuation && settings_.solver != InnerSolver::bcd) approach(betas.front(), iterate);
    Matrix before, last;  // coefficients at the two penalties before this one
    for (std::size_t k = 0; k < betas.size(); ++k) {
      const GroupLassoProblem problem = at(betas[k]);
      if (k >= 2 && betas[k - 1] != betas[k - 2])
        extrapolate(problem, before, (betas[k] - betas[k - 1]) / (betas[k - 1] - betas[k - 2]), iterate);
      path.push_back(result(problem, iterate, run(problem, iterate, settings_.tol)));
      if (stopped_) return;
      counts_ = {};
      before = std::move(last);
      if (k + 1 < betas.size()) last = iterate.coef;
    }
  }

 private:
  struct Run {
    DualityGap gap;
    bool converged = false;
  };

  GroupLassoProblem at(double beta) const {
    return {problem_.design,      problem_.Y,         beta, problem_.group_weights, problem_.ridge,
            problem_.unpenalised, problem_.block_norm};
  }

  // Goes on along the line through the last two solutions where that lowers the objective: blocks are smooth functions
  // of beta as long as the same ones are active.
  void extrapolate(const GroupLassoProblem& problem, const Matrix& before, double t, Iterate& iterate) {
    const std::vector<Index> active = iterate.active();
    Iterate trial = iterate;
    for (const Index i : active)
      if (!before.col(i).isZero(0)) trial.coef.col(i) += t * (iterate.coef.col(i) - before.col(i));
    trial.refresh(problem);
    if (objective_over(problem, active, trial) < objective_over(problem, active, iterate)) iterate = std::move(trial);
  }

  void approach(double beta, Iterate& iterate) {
    silent_ = true;
    for (const Stage& stage : continuation(beta, group_lasso_beta_max(problem_), settings_.tol))
      run(at(stage.beta), iterate, stage.tol);
    silent_ = false;
  }

  // Working sets until the gap over all patterns is within `tol` of the objective at zero.
  Run run(const GroupLassoProblem& problem, Iterate& iterate, double tol) {
    std::unique_ptr<NewtonSteps> steps;
    if (problem_.nuclear())
      steps = std::make_unique<NeuronNewton>(problem, blocks_);
    else
      steps = std::make_unique<ActiveNewton>(problem, blocks_, space_, expected_cg_);
    NewtonSteps& newton = *steps;
    DualNewton dual_newton(space_);
    stalled_ = false;
    const double target = tol * problem.objective_at_zero();
    working_set_.assign(iterate.active());

    Screening screening(problem, blocks_);
    Run result;
    Matrix best;  // coefficients with the least objective so far
    double least = std::numeric_limits<double>::infinity();
    Idleness idleness(problem.objective_at_zero());
    for (Index iteration = 0;; ++iteration) {
      if (!working_set_.empty()) iterate.refresh(problem);
      screening.correlations(iterate.residual, correlations_);
      result.gap = duality_gap(problem, iterate, correlations_, screening.survivors());
      ++counts_.n_iter;
      if (screening.survivors() && result.gap.gap <= target) {
        // The certificate covers the patterns that were left out, too.
        screening.reset();
        screening.correlations(iterate.residual, correlations_);
        result.gap = duality_gap(problem, iterate, correlations_, nullptr);
        ++counts_.n_iter;
      }
      result.converged = result.gap.gap <= target;
      if (result.gap.primal < least) {
        least = result.gap.primal;
        best = iterate.coef;
      } else if (!(result.gap.primal <= problem.objective_at_zero()) && best.size() > 0) {
        // Steps lower the objective, but for rounding. One above that of zero coefficients, or not a number, means that
        // the data are at the limits of float64: the solve ends with the best coefficients that it has had.
        iterate.coef = best;
        iterate.refresh(problem);
        screening.reset();
        screening.correlations(iterate.residual, correlations_);
        result.gap = duality_gap(problem, iterate, correlations_, nullptr);
        result.converged = result.gap.gap <= target;
        break;
      }
      const Index n_active = static_cast<Index>(iterate.active().size());
      const Progress progress{counts_.n_iter, result.gap.primal, result.gap.gap, relative(result.gap.gap),
                              n_active,       problem.beta,      &iterate.coef};
      if (!silent_ && !monitor_.report(progress)) stopped_ = true;
      if (result.converged || stopped_ || iteration + 1 >= settings_.max_iter) break;
      if (idleness.over(result.gap)) break;
      if (exhausted(newton.n_steps() + dual_newton.n_steps(), newton.n_cg() + dual_newton.n_cg())) break;

      Vector violation = Vector::Zero(problem.design.n_patterns());  // what is screened stays out
      for (Index k = 0; k < screening.size(); ++k)
        violation[screening.group(k)] = problem.dual_norm(correlations_.col(k)) / problem.threshold(screening.group(k));
      const auto nonzero = [&](Index i) { return !iterate.coef.col(i).isZero(0); };
      const Index violators = working_set_.update(violation, nonzero, n_active);  // as many as are active
      screening.discard(result.gap, correlations_, working_set_.contains());
      // A new working set is worth solving only as far as its gap is below the whole one.
      double inner = std::max(0.5 * target * (violators ? 0.5 : 1), (violators ? 0.1 : 0.02) * result.gap.gap);
      if (result.gap.gap <= 3 * target) inner = 0.3 * target;
      counts_.inner.push_back(solve_working_set(problem, working_set_.groups(), iterate, inner, newton, dual_newton));
    }
    counts_.n_newton += newton.n_steps() + dual_newton.n_steps();
    counts_.n_cg += newton.n_cg() + dual_newton.n_cg();
    counts_.n_direct += newton.n_direct() + dual_newton.n_direct();
    return result;
  }

  double working_set_gap(const GroupLassoProblem& problem, const std::vector<Index>& working_set,
                         const Iterate& iterate) {
    const RestrictedDesign design(problem.design, working_set);
    Matrix correlations(problem.block_size(), design.size());
    design.correlations<double>(iterate.residual, correlations);
    return duality_gap(problem, iterate, correlations, &working_set).gap;
  }

  void sweep(const GroupLassoProblem& problem, const std::vector<Index>& working_set, Iterate& iterate) {
    blocks_.sweep(problem, working_set, iterate);
    ++counts_.n_sweeps;
  }

  // Returns which solver ended it.
  InnerSolver solve_working_set(const GroupLassoProblem& problem, const std::vector<Index>& working_set,
                                Iterate& iterate, double tol, NewtonSteps& newton, DualNewton& dual_newton) {
    if (settings_.solver == InnerSolver::bcd) {
      descend(problem, working_set, iterate, tol);
      return InnerSolver::bcd;
    }
    if (settings_.solver != InnerSolver::dual && !stalled_) {
      const Index size = static_cast<Index>(working_set.size());
      const bool both =
          settings_.solver == InnerSolver::automatic && !problem_.nuclear() && DualNewton::factorises(problem);
      const double most = both ? dual_newton.expected_work(problem, size) : INFINITY;
      const bool reached = alternate(problem, working_set, iterate, tol, newton, most);
      if (reached || !both) return InnerSolver::newton;
      stalled_ = true;
    }
    // If the dual method stalls as well, the next working set begins with Newton steps again.
    stalled_ = dual_newton.solve(problem, working_set, iterate, tol);
    return InnerSolver::dual;
  }

  // A sweep fixes which blocks are non-zero, a Newton step finishes on those. Returns whether the gap came down to
  // `tol` before the steps took more than `most_work`, or stalled.
  bool alternate(const GroupLassoProblem& problem, const std::vector<Index>& working_set, Iterate& iterate, double tol,
                 NewtonSteps& newton, double most_work) {
    constexpr int kRounds = 30;
    const double before = newton.work();
    int failures = 0;
    Index factorised = newton.n_direct();
    for (int round = 0; round < kRounds && failures <= 5 && newton.work() - before <= most_work; ++round) {
      // Sweeps are cheap beside factorisations, some of which they save.
      const int sweeps = newton.n_direct() > factorised ? 3 : 1;
      factorised = newton.n_direct();
      for (int k = 0; k < sweeps; ++k) sweep(problem, working_set, iterate);
      if (newton.step(iterate)) {
        failures = 0;
      } else {
        ++failures;
        for (int extra = 0; extra < 3 * failures; ++extra) sweep(problem, working_set, iterate);
      }
      if (working_set_gap(problem, working_set, iterate) <= tol) return true;
    }
    return false;
  }

  // Block-coordinate descent with Anderson acceleration alone: the reference for the faster way.
  void descend(const GroupLassoProblem& problem, const std::vector<Index>& working_set, Iterate& iterate, double tol) {
    Anderson anderson(problem, working_set, iterate);
    for (int epoch = 0; epoch < 5000; ++epoch) {
      sweep(problem, working_set, iterate);
      if (anderson.push(iterate) && working_set_gap(problem, working_set, iterate) <= tol) return;
    }
  }

  GroupLassoResult result(const GroupLassoProblem& problem, const Iterate& iterate, const Run& run) {
    GroupLassoResult result = counts_;
    result.record(iterate, iterate.residual, run.gap);
    result.beta = problem.beta;
    result.relative_gap = relative(run.gap.gap);
    result.converged = run.converged;
    return result;
  }

  double relative(double gap) const {
    const double zero = problem_.objective_at_zero();
    return zero > 0 ? gap / zero : 0;
  }

  const GroupLassoProblem& problem_;
  const GroupLassoSettings& settings_;
  Monitor& monitor_;
  BlockUpdate blocks_;  // what does not depend on the penalty serves a whole path
  SampleSpace space_;
  Matrix correlations_;
  WorkingSet working_set_;
  GroupLassoResult counts_;
  Index expected_cg_ = ActiveNewton::kLeastCg;
  bool silent_ = false;  // reports belong to the penalty that was asked for
  bool stopped_ = false;
  bool stalled_ = false;  // at this penalty Newton steps stalled or took too much work: the dual method is used
};

}  // namespace

void solve_group_lasso(const GroupLassoProblem& problem, const std::vector<double>& betas,
                       const GroupLassoSettings& settings, const MatrixView& start, Monitor& monitor,
                       std::vector<GroupLassoResult>& path) {
  require(problem.Y.rows() == problem.design.n_samples(), "Y and X must have the same number of rows");
  require(problem.group_weights.size() == problem.design.n_patterns(), "there must be a weight for each pattern");
  require(start.size() == 0 || (start.rows() == problem.block_size() && start.cols() == problem.design.n_patterns()),
          "the start must have one column for each pattern");
  require(!betas.empty(), "there must be a penalty");
  Solver(problem, settings, monitor).solve(betas, start, path);
}

}  // namespace cvxrelu
