#include <iostream>

#include "cvxrelu/base/parallel.hpp"
#include "cvxrelu/gated/group_lasso.hpp"
#include "cvxrelu/masks/bits.hpp"

using namespace cvxrelu;

int main() {
  const Index n = 200, d = 5, p = 100;
  const RowMatrix X = RowMatrix::Random(n, d), gates = RowMatrix::Random(p, d);
  const Matrix y = X.col(0).cwiseMax(X.col(1)), none(n, 0);  // no unpenalised columns
  const Vector weights = Vector::Ones(p);

  WordMatrix patterns(p, words_for(n));
  Vector margins(p);
  Monitor monitor;
  pack_patterns(X, gates, patterns, margins, default_threads(), monitor);

  const MaskedDesign design(X, patterns, default_threads(), monitor);
  const GroupLassoProblem problem{design, y, 0, weights, 0, none};
  std::vector<GroupLassoResult> path;
  solve_group_lasso(problem, {0.01 * group_lasso_beta_max(problem)}, {}, Matrix(), monitor, path);

  const GroupLassoResult& best = path.front();
  std::cout << best.active.size() << " of " << p << " patterns, objective " << best.objective << ", certified within "
            << best.gap << " of the optimum\n";
  return best.converged ? 0 : 1;
}
