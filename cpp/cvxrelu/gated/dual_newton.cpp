#include "cvxrelu/gated/dual_newton.hpp"

#include <Eigen/Cholesky>
#include <Eigen/QR>
#include <algorithm>
#include <cmath>

#include "cvxrelu/algebra/symmetric.hpp"
#include "cvxrelu/gated/duality.hpp"

namespace cvxrelu {

// psi at a dual point, with everything that its derivatives need.
struct DualNewton::Point {
  Matrix Z;                   // U + sigma A'T, (d c, m)
  Matrix W;                   // prox(Z)
  Vector norms;               // ||Z_i||
  std::vector<Index> active;  // positions in the working set with ||Z_i|| > sigma t_i
  double penalty = 0;         // the last sum of psi

  Point(const GroupLassoProblem& problem, const std::vector<Index>& groups, Matrix Z_, double sigma)
      : Z(std::move(Z_)), W(Matrix::Zero(Z.rows(), Z.cols())), norms(Z.colwise().norm()) {
    const double shrink = 1 / (1 + sigma * problem.ridge);
    for (Index a = 0; a < Z.cols(); ++a) {
      const double excess = norms[a] - sigma * problem.threshold(groups[static_cast<std::size_t>(a)]);
      if (excess <= 0) continue;
      active.push_back(a);
      W.col(a) = shrink * excess / norms[a] * Z.col(a);
      penalty += shrink * excess * excess / (2 * sigma);
    }
  }

  Matrix active_columns(const Matrix& from) const {
    Matrix columns(from.rows(), static_cast<Index>(active.size()));
    for (std::size_t k = 0; k < active.size(); ++k) columns.col(static_cast<Index>(k)) = from.col(active[k]);
    return columns;
  }

  RestrictedDesign restricted(const GroupLassoProblem& problem, const std::vector<Index>& groups) const {
    std::vector<Index> patterns;
    for (const Index a : active) patterns.push_back(groups[static_cast<std::size_t>(a)]);
    return {problem.design, std::move(patterns)};
  }
};

bool DualNewton::factorises(const GroupLassoProblem& problem) {
  return problem.design.n_samples() <= kMostFactorised && problem.Y.size() <= kMostTargets;
}

double DualNewton::expected_work(const GroupLassoProblem& problem, Index n_groups) const {
  constexpr double kSteps = 7;  // what the problems of bench/peers/gated.py took in a working set: 5 to 8
  const Index c = problem.Y.cols();
  const double m = static_cast<double>(n_groups);
  const double border = c > 1 ? 0.5 * static_cast<double>(problem.Y.size()) * m * m : 0;
  return kSteps * (space_.factorisation_work((1 + c) * n_groups) + border);
}

// Solves H D = -gradient, H = I + sum_a A_a J_a A_a', J_a = scale ((1 - q) I + q z z') with q = sigma t_a / ||Z_a||, on
// the complement of the unpenalised columns, where T and the gradient are.
//
// The first parts of the J_a are the same for every output: I + scale sum_a (1 - q_a) A_a A_a' = L L'. The second parts
// add V V', with a column for every block, which couples the outputs: of a single one it is added before L is found, of
// several by the Woodbury identity.
Matrix DualNewton::direction(const GroupLassoProblem& problem, const RestrictedDesign& active, const Matrix& unit,
                             const Vector& q, double scale, const Matrix& gradient) {
  const MaskedDesign& design = problem.design;
  const Index n = design.n_samples(), m = active.size();
  if (factorises(problem)) {
    const Index c = gradient.cols();
    const int threads = design.n_threads();
    Matrix L = space_.sum_of_blocks<double>(active.patterns(), scale * (1 - q.array()));
    Matrix V = space_.images<double>(active.patterns(), unit);  // (n, c m), one output beside the other
    for (Index o = 0; o < c; ++o) V.middleCols(o * m, m) *= (scale * q).cwiseSqrt().asDiagonal();
    if (c == 1) add_outer_product(V, 1.0, L, threads, design.monitor());
    if (cholesky(L, threads, design.monitor())) {
      Matrix D = -gradient;
      Matrix basis(n, 0);  // of L^-1 times the unpenalised columns, to which L'D is orthogonal
      L.triangularView<Eigen::Lower>().solveInPlace(D);
      if (problem.unpenalised.cols() > 0) {
        Matrix Z = problem.unpenalised;
        solve_lower(L, Z, threads, design.monitor());
        basis = Eigen::HouseholderQR<Matrix>(Z).householderQ() * Matrix::Identity(n, Z.cols());
        D -= basis * (basis.transpose() * D).eval();
      }
      if (c > 1 && m > 0) {
        solve_lower(L, V, threads, design.monitor());
        V -= basis * (basis.transpose() * V).eval();
        Matrix border = Matrix::Identity(m, m);
        Vector u = Vector::Zero(m);
        for (Index o = 0; o < c; ++o) {
          add_inner_product(V.middleCols(o * m, m), 1.0, border, threads, design.monitor());
          u += V.middleCols(o * m, m).transpose() * D.col(o);
        }
        Eigen::LLT<Matrix>(border).solveInPlace(u);
        for (Index o = 0; o < c; ++o) D.col(o) -= V.middleCols(o * m, m) * u;
      }
      L.triangularView<Eigen::Lower>().transpose().solveInPlace(D);
      problem.project(D);
      ++n_direct_;
      return D;
    }
  }
  constexpr int kMost = 500;
  constexpr double kForcing = 1e-2;
  Matrix D = Matrix::Zero(n, gradient.cols()), r = -gradient, s = r, product(n, gradient.cols());
  Matrix C(unit.rows(), m);
  double rr = r.squaredNorm();
  const double target = kForcing * kForcing * rr;
  for (int iteration = 0; iteration < kMost && rr > target; ++iteration, ++n_cg_) {
    design.monitor().poll();
    active.correlations<double>(s, C);
    for (Index a = 0; a < m; ++a)
      C.col(a) = scale * ((1 - q[a]) * C.col(a) + q[a] * unit.col(a).dot(C.col(a)) * unit.col(a));
    active.fitted<double>(C, product);
    problem.project(product);
    product += s;
    const double length = rr / s.cwiseProduct(product).sum();
    D += length * s;
    r -= length * product;
    const double next = r.squaredNorm();
    s = r + (next / rr) * s;
    rr = next;
  }
  return D;
}

bool DualNewton::solve(const GroupLassoProblem& problem, const std::vector<Index>& groups, Iterate& iterate,
                       double tol) {
  constexpr int kProximalSteps = 60, kNewtonSteps = 50, kIdleSteps = 10, kMostSteps = 400;
  constexpr double kGrowth = 3, kMostGrowth = 1e6;
  if (groups.empty()) return false;  // a gap without blocks is rounding
  const RestrictedDesign design(problem.design, groups);
  const Index m = design.size();
  Matrix U(problem.block_size(), m), C(problem.block_size(), m),
      fitted(iterate.residual.rows(), iterate.residual.cols());
  for (Index a = 0; a < m; ++a) U.col(a) = iterate.coef.col(groups[static_cast<std::size_t>(a)]);
  Matrix T = iterate.residual;

  // Weighs a block's size against its correlation, which is t_i where it is not zero.
  double size = 0, threshold = 0;
  for (Index a = 0; a < m; ++a) {
    size += U.col(a).norm();
    threshold += U.col(a).isZero(0) ? 0 : problem.threshold(groups[static_cast<std::size_t>(a)]);
  }
  const auto gap = [&] {
    design.correlations<double>(iterate.residual, C);
    return duality_gap(problem, iterate, C, &groups);
  };
  // Steps at a large sigma multiply what rounding leaves of T: the best point is kept, and the search ends when they
  // lead beyond all that it began with, or nowhere.
  DualityGap least = gap();
  Matrix best = U;
  const double most = std::max(least.primal, problem.objective_at_zero());
  const auto place = [&](const Matrix& W) {
    for (Index a = 0; a < m; ++a) iterate.coef.col(groups[static_cast<std::size_t>(a)]) = W.col(a);
    iterate.refresh(problem);
  };
  const double first = size > 0 ? size / threshold : 1 / std::max(problem.design.trace(groups.front()), 1e-300);
  double sigma = first, forcing = 1e-3;
  int idle = 0;  // steps since the gap was lowered
  const Index most_steps = n_steps_ + kMostSteps;

  for (int step = 0; step < kProximalSteps && n_steps_ < most_steps; ++step) {
    const double scale = sigma / (1 + sigma * problem.ridge);
    design.correlations<double>(T, C);
    Point point(problem, groups, U + sigma * C, sigma);
    for (int newton = 0; newton < kNewtonSteps; ++newton) {
      problem.design.monitor().poll();
      const RestrictedDesign active = point.restricted(problem, groups);
      active.fitted<double>(point.active_columns(point.W), fitted);
      problem.project(fitted);
      const Matrix gradient = T - problem.Y + fitted;
      // Accurate against what the proximal step itself moves, or against the gap to be reached.
      if (0.5 * gradient.squaredNorm() <= forcing * std::max(10 * tol, (point.W - U).squaredNorm() / (2 * sigma)))
        break;
      Matrix unit = point.active_columns(point.Z);
      Vector q(active.size());
      for (Index k = 0; k < active.size(); ++k) {
        const double norm = unit.col(k).norm();
        unit.col(k) /= norm;
        q[k] = sigma * problem.threshold(active.patterns()[static_cast<std::size_t>(k)]) / norm;
      }
      const Matrix D = direction(problem, active, unit, q, scale, gradient);
      ++n_steps_;
      Matrix CD(problem.block_size(), m);
      design.correlations<double>(D, CD);
      const double slope = gradient.cwiseProduct(D).sum();
      double t = 1;
      int halvings = 0;
      for (;; t /= 2, ++halvings) {
        Point next(problem, groups, point.Z + sigma * t * CD, sigma);
        const double difference =
            t * (T - problem.Y).cwiseProduct(D).sum() + 0.5 * t * t * D.squaredNorm() + next.penalty - point.penalty;
        if (difference <= 1e-4 * t * slope || halvings == 20) {
          point = std::move(next);
          break;
        }
      }
      if (halvings == 20) break;  // rounding: no decrease is left
      T += t * D;
    }
    U = point.W;
    place(U);
    const DualityGap reached = gap();
    if (!(reached.primal <= most)) break;
    if (reached.gap > 0.5 * least.gap)
      forcing = std::max(0.1 * forcing, 1e-12);  // small thresholds see small errors of T
    idle = reached.gap < least.gap ? 0 : idle + 1;
    if (idle == kIdleSteps) break;
    if (idle == 0) {
      least = reached;
      best = U;
    }
    if (least.gap <= tol) break;
    sigma = std::min(kGrowth * sigma, kMostGrowth * first);
  }
  place(best);
  return least.gap <= tol;
}

}  // namespace cvxrelu
