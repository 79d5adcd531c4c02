// The core without Python, for compilers and processors that the test suite does not run on: known counts of cells with
// all gates verified, thin cells whose gates need 128 bits, and a group lasso that is certified. Exits 1 and says which
// of them failed.
#include <cstdio>
#include <random>

#include "cvxrelu/arrangement/arrangement.hpp"
#include "cvxrelu/exact/wide_float.hpp"
#include "cvxrelu/gated/group_lasso.hpp"
#include "cvxrelu/masks/bits.hpp"

namespace cvxrelu {

namespace {

bool all_right = true;

void check(bool right, const char* what, double value) {
  std::printf("%-40s %-20.12g %s\n", what, value, right ? "right" : "WRONG");
  all_right = all_right && right;
}

RowMatrix gaussian(Index rows, Index columns, unsigned seed) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<double> normal;
  return RowMatrix::NullaryExpr(rows, columns, [&] { return normal(generator); });
}

/// All non-zero 0/1 vectors.
RowMatrix resonance(int d) {
  RowMatrix X((1 << d) - 1, d);
  for (int j = 0; j < X.rows(); ++j) {
    for (int k = 0; k < d; ++k) X(j, k) = ((j + 1) >> k) & 1;
  }
  return X;
}

/// Enumerates the cells; returns how many have a gate inside.
std::int64_t verified(const RowMatrix& X, std::int64_t cells, const char* what) {
  Arrangement arrangement(X, 0, true);
  Monitor monitor;
  WordMatrix words(2 * cells, arrangement.n_words());
  RowMatrix gates(2 * cells, X.cols());
  const std::int64_t found = arrangement.fill(words.data(), gates.data(), words.rows(), 1, monitor);
  check(found == cells && arrangement.finished(), what, static_cast<double>(found));
  check(2 * arrangement.counts().verified == cells, "  with a gate inside", 2.0 * arrangement.counts().verified);
  return arrangement.counts().repaired;
}

void arrangements() {
  verified(gaussian(30, 5, 0), 55682, "cells of 30 rows in general position");
  verified(resonance(5), 11292, "cells of the resonance arrangement 5");
  // Rows that are 2^-45 apart, and columns of very different size.
  RowMatrix rows(5, 4), moves(5, 4), thin(10, 4), uneven = gaussian(7, 3, 2);
  rows << 0, 0, 2, 3, -3, -2, 2, 3, -2, -1, 3, -1, -2, 2, -2, -1, 1, 0, -3, -3;
  moves << 6, -5, -8, -4, -2, 5, -1, -8, -3, 1, 5, 4, 8, -6, 6, -9, 1, -5, -6, 2;
  thin << rows, rows.cwiseProduct(RowMatrix::Ones(5, 4) + 0x1p-45 * moves);
  const std::int64_t repaired = verified(thin, 256, "cells between rows 2^-45 apart");
  check(repaired > 0, "  pairs of them found with 128 bits", static_cast<double>(repaired));
  uneven.col(1) *= 1e-200;
  verified(uneven, 44, "cells with a column of 1e-200");
}

/// (a / b) b + c - c = a, and sums of parts are exact, in numbers that float64 does not hold.
void wide_numbers() {
  std::mt19937_64 generator(1);
  double worst = 0;
  for (int trial = 0; trial < 10000; ++trial) {
    const auto draw = [&] {
      const auto part = [&](int e) { return std::ldexp(static_cast<double>(generator() >> 11), e); };
      const int e = static_cast<int>(generator() % 600) - 300;
      return (WideFloat(part(e)) + WideFloat(part(e - 60))) * WideFloat(generator() % 2 ? 1 : -1);
    };
    const WideFloat a = draw(), b = draw();
    if (a.is_zero() || b.is_zero()) continue;
    const WideFloat scaled = a * b * WideFloat(0x1p900) * WideFloat(0x1p900) * WideFloat(0x1p900);
    worst = std::max(worst, std::abs(static_cast<double>(((a / b) * b - a) / a)));
    worst = std::max(
        worst,
        std::abs(static_cast<double>((scaled / a / b - WideFloat(0x1p900) * WideFloat(0x1p900) * WideFloat(0x1p900)) /
                                     (scaled / a / b))));
    worst = std::max(worst,
                     std::abs(static_cast<double>(((a + b) * (a - b) - (a * a - b * b)) / (abs(a * a) + abs(b * b)))));
  }
  check(worst < 16 * 0x1p-126, "128-bit arithmetic, relative error", worst);
}

void group_lasso() {
  const Index n = 500, d = 10, p = 200;
  const RowMatrix X = gaussian(n, d, 1), gates = gaussian(p, d, 2);
  const Matrix y = (X * gaussian(d, 10, 3)).cwiseMax(0.0) * gaussian(10, 1, 4);
  WordMatrix words(p, words_for(n));
  Vector margin(p);
  Monitor monitor;
  pack_patterns(X, gates, words, margin, 1, monitor);
  const MaskedDesign design(X, words, 1, monitor);
  const Vector omega = Vector::Ones(p);
  const Matrix none(n, 0);
  GroupLassoProblem problem{design, y, 0.0, omega, 0.0, none};
  problem.beta = 0.1 * group_lasso_beta_max(problem);
  GroupLassoSettings settings;
  settings.tol = 1e-9;
  std::vector<GroupLassoResult> path;
  solve_group_lasso(problem, {problem.beta}, settings, Matrix(), monitor, path);
  const GroupLassoResult& result = path.front();
  // Both sides again, by the definitions: the dual point is feasible, the objective that of the coefficients.
  Matrix fitted = Matrix::Zero(n, 1), correlations(d, p);
  double penalty = 0;
  for (std::size_t a = 0; a < result.active.size(); ++a) {
    const Vector block = result.blocks.col(static_cast<Index>(a));
    for (Index j = 0; j < n; ++j) {
      if ((words(result.active[a], j / 64) >> (j % 64)) & 1) fitted(j, 0) += X.row(j) * block;
    }
    penalty += problem.beta * block.norm();
  }
  design.correlations(result.dual, correlations);
  const double objective = 0.5 * (y - fitted).squaredNorm() + penalty;
  const double bound = result.dual.cwiseProduct(y).sum() - 0.5 * result.dual.squaredNorm();
  const double scale = 0.5 * y.squaredNorm();
  check(correlations.colwise().norm().maxCoeff() <= problem.beta * (1 + 1e-12), "group lasso: dual norm over beta",
        correlations.colwise().norm().maxCoeff() / problem.beta);
  check(std::abs(objective - result.objective) < 1e-12 * scale, "group lasso: objective", result.objective);
  check(result.converged && objective - bound <= 1.01e-9 * scale, "group lasso: relative gap",
        (objective - bound) / scale);
}

}  // namespace

}  // namespace cvxrelu

int main() {
  cvxrelu::wide_numbers();
  cvxrelu::arrangements();
  cvxrelu::group_lasso();
  return cvxrelu::all_right ? 0 : 1;
}
