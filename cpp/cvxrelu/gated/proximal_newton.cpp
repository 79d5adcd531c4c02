#include "cvxrelu/gated/proximal_newton.hpp"

#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <memory>
#include <numeric>

#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/gated/block_update.hpp"
#include "cvxrelu/gated/huber_newton.hpp"
#include "cvxrelu/gated/loss_newton.hpp"
#include "cvxrelu/gated/row_sample.hpp"
#include "cvxrelu/gated/subspace_search.hpp"
#include "cvxrelu/gated/working_set.hpp"

namespace cvxrelu {

namespace {

Matrix columns(const Matrix& from, const std::vector<Index>& which) {
  Matrix out(from.rows(), static_cast<Index>(which.size()));
  for (std::size_t a = 0; a < which.size(); ++a) out.col(static_cast<Index>(a)) = from.col(which[a]);
  return out;
}

// Orthonormal columns with the span of these.
Matrix basis_of(const Matrix& columns) {
  if (columns.cols() == 0) return columns;
  const Eigen::ColPivHouseholderQR<Matrix> qr(columns);
  return qr.householderQ() * Matrix::Identity(columns.rows(), qr.rank());
}

// Lets the solver of the quadratic programs be interrupted, and keeps its progress from the user.
class Quiet final : public Monitor {
 public:
  explicit Quiet(Monitor& outer) : outer_(outer) {}
  void poll() override { outer_.poll(); }

 private:
  Monitor& outer_;
};

// The penalty alone, as a group lasso with targets and residual of zero: its duality gap is the blocks' part of any.
struct Penalty {
  Matrix zero;
  GroupLassoProblem problem;

  explicit Penalty(const LossProblem& from)
      : zero(Matrix::Zero(from.design.n_samples(), from.n_outputs())),
        problem{from.design, zero, from.beta, from.group_weights, from.ridge, from.unpenalised} {}

  double value(const Matrix& W, const std::vector<Index>& groups) const {
    double sum = 0;
    for (std::size_t a = 0; a < groups.size(); ++a) {
      const double norm = W.col(static_cast<Index>(a)).norm();
      sum += problem.threshold(groups[a]) * norm + 0.5 * problem.ridge * norm * norm;
    }
    return sum;
  }
};

// Fenchel-Young losses and the blocks' terms at the dual point s T, for the best of a few feasible s.
DualityGap total_gap(const Loss& loss, const Penalty& penalty, const Iterate& iterate, const MatrixView& fitted,
                     const MatrixView& T, const MatrixView& correlations, const std::vector<Index>* groups) {
  DualityGap best = duality_gap(penalty.problem, iterate, correlations, groups);
  best.primal += loss.value(fitted);
  best.gap += loss.fenchel_young(fitted, best.scale * T);
  const auto attempt = [&](double scale) {
    const double gap =
        loss.fenchel_young(fitted, scale * T) + blocks_gap(penalty.problem, iterate, correlations, groups, scale);
    if (gap < best.gap) {
      best.gap = gap;
      best.scale = scale;
    }
  };
  double largest = 0;
  for (Index k = 0; k < correlations.cols(); ++k)
    largest = std::max(largest, correlations.col(k).norm() /
                                    penalty.problem.threshold(groups ? (*groups)[static_cast<std::size_t>(k)] : k));
  if (largest <= 1) {
    // Room is left in the constraints: a longer dual point may be a better one, as far as it is in the domain.
    const double room = largest > 0.5 ? 1 / largest - 1 : 1;
    if (penalty.problem.ridge == 0)
      for (double part = 1; part > 0.05; part /= 2) attempt(1 + part * room);
  } else if (penalty.problem.ridge > 0) {
    // What exceeds the constraints is dear where the ridge is small.
    for (int quarter = 1; quarter <= 4; ++quarter) attempt(std::pow(largest, -0.25 * quarter));
  }
  return best;
}

class ProximalNewton {
 public:
  ProximalNewton(const LossProblem& problem, const GroupLassoSettings& settings, Monitor& monitor)
      : problem_(problem),
        settings_(settings),
        monitor_(monitor),
        quiet_(monitor),
        newton_(problem.loss),
        huber_(problem.design, problem.loss),
        fit_(problem.fit_at_zero()),
        at_zero_(problem.loss.value(fit_.outputs)),
        correlations_(problem.block_size(), problem.design.n_patterns()),
        working_set_(problem.design.n_patterns()) {}

  void solve(const std::vector<double>& betas, const MatrixView& start, std::vector<GroupLassoResult>& path) {
    const Penalty first(at(betas.front()));
    Iterate iterate(first.problem);
    bool cold = start.size() == 0;
    if (!cold) {
      iterate.coef = start;
      fit(iterate);
      const std::vector<Index> active = iterate.active();
      cold = !(problem_.loss.value(fit_.outputs) + first.value(columns(iterate.coef, active), active) <= at_zero_);
      if (cold) iterate.coef.setZero();
    }
    if (cold && settings_.continuation) approach(betas.front(), iterate);
    for (const double beta : betas) {
      const LossProblem problem = at(beta);
      const Run done = run(problem, iterate, settings_.tol);
      path.push_back(result(problem, iterate, done));
      if (stopped_) return;
      counts_ = {};
    }
  }

 private:
  struct Run {
    DualityGap gap;
    bool converged = false;
  };

  LossProblem at(double beta) const {
    return {problem_.design, problem_.loss, beta, problem_.group_weights, problem_.ridge, problem_.unpenalised};
  }

  // Fitted values and residual from the coefficients.
  void fit(const Iterate& iterate) {
    const std::vector<Index> active = iterate.active();
    RestrictedDesign(problem_.design, active).fitted<double>(columns(iterate.coef, active), fit_.blocks);
    fit_.complete(problem_.loss, problem_.unpenalised);
    residual_ = problem_.loss.residual(fit_.outputs);
  }

  void approach(double beta, Iterate& iterate) {
    fit(iterate);
    problem_.design.correlations(residual_, correlations_);
    const double beta_max =
        (correlations_.colwise().norm().transpose().array() / problem_.group_weights.array()).maxCoeff();
    silent_ = true;
    for (const Stage& stage : continuation(beta, beta_max, settings_.tol)) run(at(stage.beta), iterate, stage.tol);
    silent_ = false;
  }

  Run run(const LossProblem& problem, Iterate& iterate, double tol) {
    const Penalty penalty(problem);
    const double target = tol * at_zero_;
    working_set_.assign(iterate.active());
    damping_ = kFirstDamping;

    Idleness idleness(at_zero_);
    Run result;
    for (Index iteration = 0;; ++iteration) {
      fit(iterate);
      problem.design.correlations(residual_, correlations_);
      result.gap = total_gap(problem.loss, penalty, iterate, fit_.outputs, residual_, correlations_, nullptr);
      ++counts_.n_iter;
      result.converged = result.gap.gap <= target;
      const Index n_active = static_cast<Index>(iterate.active().size());
      const Progress progress{counts_.n_iter, result.gap.primal, result.gap.gap, relative(result.gap.gap),
                              n_active,       problem.beta,      &iterate.coef};
      if (!silent_ && !monitor_.report(progress)) stopped_ = true;
      if (result.converged || stopped_ || iteration + 1 >= settings_.max_iter) return result;
      if (idleness.over(result.gap)) return result;
      if (exhausted(counts_.n_newton + newton_.n_steps() + huber_.n_steps(),
                    counts_.n_cg + newton_.n_cg() + huber_.n_cg()))
        return result;

      const Vector violation =
          correlations_.colwise().norm().transpose().cwiseQuotient(problem.beta * problem.group_weights);
      const auto nonzero = [&](Index i) { return !iterate.coef.col(i).isZero(0); };
      const Index violators = working_set_.update(violation, nonzero, n_active);  // as many as are active
      if (working_set_.empty()) return result;                                    // rounding is all that is left
      // A new working set is worth solving only as far as its gap is below the whole one.
      descend(problem, penalty, working_set_.groups(), iterate,
              std::max(0.3 * target, (violators ? 0.1 : 0.02) * result.gap.gap));
    }
  }

  // Proximal Newton steps until the gap over the working set is within `tol`. With Huber's loss they are few where most
  // residuals are within delta. Where they hardly lower the gap, proximal points are taken from the next set on.
  void descend(const LossProblem& problem, const Penalty& penalty, const std::vector<Index>& working_set,
               Iterate& iterate, double tol) {
    constexpr int kSteps = 20, kSlowSteps = 5;
    constexpr Index kMostInner = 300;  // Newton steps of the models
    const Index most_newton = counts_.n_newton + kMostInner;
    const bool exact = problem.loss.curvature_is_exact(), capped = std::isfinite(problem.loss.cap());
    int slow = 0;
    double forcing = exact ? 0.05 : 0.3, last = std::numeric_limits<double>::infinity();
    const RestrictedDesign design(problem.design, working_set);
    const WordMatrix words = words_of(working_set);
    Matrix W = columns(iterate.coef, working_set), correlations(W.rows(), W.cols());
    if (capped && stalled_) {
      const auto gap_of = [&](const Matrix& coef) {
        for (std::size_t a = 0; a < working_set.size(); ++a)
          iterate.coef.col(working_set[a]) = coef.col(static_cast<Index>(a));
        fit(iterate);
        design.correlations<double>(residual_, correlations);
        return total_gap(problem.loss, penalty, iterate, fit_.outputs, residual_, correlations, &working_set).gap;
      };
      const double before = gap_of(W);
      if (huber_.solve(penalty.problem, working_set, Matrix(fit_.outputs), W, tol, gap_of)) return;
      if (gap_of(W) <= 0.5 * before) return;  // the next pass goes on from here, with lengths that suit it
    }
    if (descend_by_samples(problem, penalty, design, iterate, W, tol)) return;
    for (int step = 0; step < kSteps && counts_.n_newton < most_newton; ++step) {
      design.correlations<double>(residual_, correlations);
      const double gap =
          total_gap(problem.loss, penalty, iterate, fit_.outputs, residual_, correlations, &working_set).gap;
      if (gap <= tol) return;
      if (gap > 0.5 * last) {
        forcing *= 0.1;  // the model's gap, with its own dual point, is below this one
        ++slow;
      }
      if (capped && !stalled_ && slow == kSlowSteps) break;
      last = gap;
      const Matrix next = minimise_model(problem, words, working_set, W, forcing * gap);
      if (!line_search(problem, penalty, design, next, W)) break;
      if (!exact && newton_.step(penalty.problem, working_set, W, fit_))
        residual_ = problem.loss.residual(fit_.outputs);
      for (std::size_t a = 0; a < working_set.size(); ++a)
        iterate.coef.col(working_set[a]) = W.col(static_cast<Index>(a));
    }
    stalled_ = true;
  }

  // Steps by models on samples of the rows, from which the best combination with the last iterates is taken. Returns
  // whether the gap over the working set came within `tol`; it does not where coefficients are few, where rows are few
  // beside those that may be non-zero, or where samples turn out to be too poor.
  bool descend_by_samples(const LossProblem& problem, const Penalty& penalty, const RestrictedDesign& design,
                          Iterate& iterate, Matrix& W, double tol) {
    constexpr Index kMinRows = 50'000, kLeastRows = 4096, kRowsPerCoefficient = 2;
    constexpr Index kLeastCoefficients = 400;  // with fewer, the systems of Newton steps over all rows are small
    constexpr int kSteps = 30;
    constexpr std::size_t kMemory = 4;
    const Index n = problem.design.n_samples(), m = design.size();
    const std::vector<Index>& groups = design.patterns();
    if (n < kMinRows || m * problem.design.n_features() < kLeastCoefficients) return false;
    if (settings_.solver != InnerSolver::automatic) return false;
    if (!problem.loss.curvature_is_exact() && !std::isfinite(problem.loss.cap())) return false;
    Vector thresholds(m);
    for (Index a = 0; a < m; ++a) thresholds[a] = problem.threshold(groups[static_cast<std::size_t>(a)]);
    std::unique_ptr<RowSample> sample;
    std::deque<FittedBlocks> others;
    Matrix correlations(W.rows(), m);
    Index size = 0;
    double last = std::numeric_limits<double>::infinity();
    for (int step = 0; step < kSteps; ++step) {
      design.correlations<double>(residual_, correlations);
      const double gap = total_gap(problem.loss, penalty, iterate, fit_.outputs, residual_, correlations, &groups).gap;
      if (gap <= tol) return true;
      const Index n_active = (W.colwise().lpNorm<1>().array() > 0).count();
      const Index needed = std::max(kLeastRows, kRowsPerCoefficient * problem.design.n_features() * n_active);
      if (2 * needed > n) return false;
      // The first step settles which blocks are not zero, and its gap tells little of the sample.
      const bool poor = step > 1 && gap > 0.5 * last;
      if (poor && 2 * size >= n) return false;
      const Index wanted = std::min(n / 2, std::max(needed, poor ? 2 * size : size));
      last = gap;
      if (!sample || 5 * wanted > 6 * size) {
        size = wanted;
        sample = std::make_unique<RowSample>(penalty.problem, groups, size);
      }
      const Vector curvature = problem.loss.curvature(fit_.outputs, damping_);
      const FittedBlocks base{W, fit_.blocks};
      others.push_front({sample->minimise(penalty.problem, curvature, correlations, W, counts_), fit_.blocks});
      const Matrix next = others.front().coef;
      design.fitted<double>(next, others.front().fitted);
      if (!combine(problem, penalty, design, thresholds, others, W) && !line_search(problem, penalty, design, next, W))
        return false;
      others.push_front(base);
      while (others.size() > kMemory) others.pop_back();
      for (std::size_t a = 0; a < groups.size(); ++a) iterate.coef.col(groups[a]) = W.col(static_cast<Index>(a));
    }
    return false;
  }

  // Moves W to the best combination with others, of which the first is the model's minimum. Returns false, with W
  // unchanged, where that does not lower the objective.
  bool combine(const LossProblem& problem, const Penalty& penalty, const RestrictedDesign& design,
               const VectorView& thresholds, const std::deque<FittedBlocks>& others, Matrix& W) {
    const double before = problem.loss.value(fit_.outputs) + penalty.value(W, design.patterns());
    CompletedFit trial = fit_;
    Matrix coef = best_combination(problem, thresholds, {W, fit_.blocks}, others, trial);
    // Blocks that the model has at zero are so in the combination, too, where that is still below the objective.
    std::vector<Index> zeroed, patterns;
    for (Index a = 0; a < coef.cols(); ++a)
      if (others.front().coef.col(a).isZero(0) && !coef.col(a).isZero(0)) {
        zeroed.push_back(a);
        patterns.push_back(design.patterns()[static_cast<std::size_t>(a)]);
      }
    if (!zeroed.empty()) {
      Matrix sparse = coef, undone(trial.blocks.rows(), trial.blocks.cols());
      RestrictedDesign(problem.design, patterns).fitted<double>(columns(coef, zeroed), undone);
      for (const Index a : zeroed) sparse.col(a).setZero();
      CompletedFit without = trial;
      without.blocks -= undone;
      without.complete(problem.loss, problem.unpenalised);
      if (problem.loss.value(without.outputs) + penalty.value(sparse, design.patterns()) < before) {
        coef = std::move(sparse);
        trial = std::move(without);
      }
    }
    if (!(problem.loss.value(trial.outputs) + penalty.value(coef, design.patterns()) < before)) return false;
    W = std::move(coef);
    fit_ = std::move(trial);
    residual_ = problem.loss.residual(fit_.outputs);
    return true;
  }

  // Whether the model, of several outputs, is a bound and no Hessian: Newton steps on the true one follow, before which
  // it has to tell no more than which blocks are not zero.
  bool sweeps_suffice(const LossProblem& problem) const {
    const bool newton = settings_.solver == InnerSolver::automatic || settings_.solver == InnerSolver::newton;
    return newton && !problem.loss.curvature_is_exact() && !std::isfinite(problem.loss.cap());
  }

  WordMatrix words_of(const std::vector<Index>& groups) const {
    WordMatrix words(static_cast<Index>(groups.size()), (problem_.design.n_samples() + 63) / 64);
    for (std::size_t a = 0; a < groups.size(); ++a)
      std::copy_n(problem_.design.pattern(groups[a]), words.cols(),
                  words.data() + static_cast<Index>(a) * words.cols());
    return words;
  }

  // Minimises the quadratic model plus penalty over the working set, to a gap of `tol` or by as many sweeps as suffice.
  Matrix minimise_model(const LossProblem& problem, const WordMatrix& words, const std::vector<Index>& groups,
                        const Matrix& W, double tol) {
    const Vector root = problem.loss.curvature(fit_.outputs, damping_).cwiseSqrt();
    const Vector inverse = root.unaryExpr([](double h) { return h > 0 ? 1 / h : 0.0; });  // a weight may be zero
    const RowMatrix X = root.asDiagonal() * problem.design.X();
    const Matrix free = basis_of(root.asDiagonal() * problem.unpenalised);
    Matrix Y = root.asDiagonal() * fit_.blocks + inverse.asDiagonal() * residual_;
    if (free.cols() > 0) Y -= free * (free.transpose() * Y);
    Vector omega(words.rows());
    for (Index a = 0; a < omega.size(); ++a) omega[a] = problem.group_weights[groups[static_cast<std::size_t>(a)]];
    const MaskedDesign design(X, words, problem.design.n_threads(), quiet_);
    GroupLassoSettings settings;
    settings.tol = std::max(1e-14, tol / (0.5 * Y.squaredNorm()));
    settings.max_iter = 20;
    settings.solver = settings_.solver;
    const GroupLassoProblem lasso{design, Y, problem.beta, omega, problem.ridge, free};
    if (sweeps_suffice(problem)) {
      std::vector<Index> all(static_cast<std::size_t>(W.cols()));
      std::iota(all.begin(), all.end(), Index(0));
      Iterate iterate(lasso);
      iterate.coef = W;
      iterate.refresh(lasso);
      BlockUpdate blocks(design);
      for (int sweep = 0; sweep < kSweeps; ++sweep, ++counts_.n_sweeps) blocks.sweep(lasso, all, iterate);
      return iterate.coef;
    }
    std::vector<GroupLassoResult> path;
    solve_group_lasso(lasso, {problem.beta}, settings, W, quiet_, path);
    const GroupLassoResult& model = path.front();
    counts_.n_sweeps += model.n_sweeps;
    counts_.n_newton += model.n_newton;
    counts_.n_cg += model.n_cg;
    counts_.n_direct += model.n_direct;
    counts_.inner.insert(counts_.inner.end(), model.inner.begin(), model.inner.end());
    Matrix next = Matrix::Zero(W.rows(), W.cols());
    for (std::size_t a = 0; a < model.active.size(); ++a)
      next.col(model.active[a]) = model.blocks.col(static_cast<Index>(a));
    return next;
  }

  // Moves W towards `next` as far as the objective does not rise.
  bool line_search(const LossProblem& problem, const Penalty& penalty, const RestrictedDesign& design,
                   const Matrix& next, Matrix& W) {
    Matrix fitted(fit_.blocks.rows(), fit_.blocks.cols());
    design.fitted<double>(next, fitted);
    const double before = problem.loss.value(fit_.outputs) + penalty.value(W, design.patterns());
    const double rounding = 1e-15 * before;
    CompletedFit trial = fit_;
    double t = 1;
    for (int halving = 0; halving < 30; ++halving, t /= 2) {
      const Matrix coef = t == 1 ? next : Matrix(W + t * (next - W));
      trial.blocks = t == 1 ? fitted : Matrix(fit_.blocks + t * (fitted - fit_.blocks));
      trial.complete(problem.loss, problem.unpenalised);
      if (problem.loss.value(trial.outputs) + penalty.value(coef, design.patterns()) <= before + rounding) {
        W = coef;
        fit_ = std::move(trial);
        residual_ = problem.loss.residual(fit_.outputs);
        damping_ = halving == 0 ? std::max(kLeastDamping, damping_ / 4) : std::min(1.0, 8 * damping_);
        return true;
      }
    }
    return false;
  }

  GroupLassoResult result(const LossProblem& problem, const Iterate& iterate, const Run& run) {
    GroupLassoResult result = counts_;
    result.record(iterate, residual_, run.gap);
    result.beta = problem.beta;
    result.relative_gap = relative(run.gap.gap);
    result.converged = run.converged;
    result.n_newton += newton_.n_steps() + huber_.n_steps();
    result.n_cg += newton_.n_cg() + huber_.n_cg();
    result.n_direct += huber_.n_direct();
    newton_ = LossNewton(problem_.loss);
    huber_.forget_counts();
    return result;
  }

  double relative(double gap) const { return at_zero_ > 0 ? gap / at_zero_ : 0; }

  static constexpr int kSweeps = 2;
  static constexpr double kFirstDamping = 0.01, kLeastDamping = 1e-4;
  const LossProblem& problem_;
  const GroupLassoSettings& settings_;
  Monitor& monitor_;
  Quiet quiet_;
  LossNewton newton_;
  HuberNewton huber_;
  CompletedFit fit_;  // of the iterate
  double at_zero_;
  Matrix residual_;  // of the iterate
  Matrix correlations_;
  WorkingSet working_set_;
  double damping_ = kFirstDamping;  // raised when a step was too long
  GroupLassoResult counts_;
  bool silent_ = false;  // reports belong to the penalty that was asked for
  bool stopped_ = false;
  bool stalled_ = false;  // proximal Newton steps with Huber's loss have stalled
};

}  // namespace

DualityGap duality_gap(const LossProblem& problem, const Matrix& coef, const MatrixView& T) {
  const Penalty penalty(problem);
  Iterate iterate(penalty.problem);
  iterate.coef = coef;
  const std::vector<Index> active = iterate.active();
  Matrix correlations(problem.block_size(), problem.design.n_patterns());
  CompletedFit fit(T.rows(), problem.unpenalised.cols(), T.cols());
  RestrictedDesign(problem.design, active).fitted<double>(columns(coef, active), fit.blocks);
  fit.complete(problem.loss, problem.unpenalised);
  problem.design.correlations(T, correlations);
  return total_gap(problem.loss, penalty, iterate, fit.outputs, T, correlations, nullptr);
}

void solve_with_loss(const LossProblem& problem, const std::vector<double>& betas, const GroupLassoSettings& settings,
                     const MatrixView& start, Monitor& monitor, std::vector<GroupLassoResult>& path) {
  require(problem.loss.targets().rows() == problem.design.n_samples(), "Y and X must have the same number of rows");
  require(problem.group_weights.size() == problem.design.n_patterns(), "there must be a weight for each pattern");
  require(start.size() == 0 || (start.rows() == problem.block_size() && start.cols() == problem.design.n_patterns()),
          "the start must have one column for each pattern");
  require(!betas.empty(), "there must be a penalty");
  ProximalNewton(problem, settings, monitor).solve(betas, start, path);
}

}  // namespace cvxrelu
