// Every header that docs/cpp.md lists, and its examples, compile in a stranger's project without a warning.
#include <iostream>

#include "cvxrelu/arrangement/arrangement.hpp"
#include "cvxrelu/arrangement/cone_measure.hpp"
#include "cvxrelu/arrangement/flat_orbits.hpp"
#include "cvxrelu/arrangement/solid_angle.hpp"
#include "cvxrelu/arrangement/tope_graph.hpp"
#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/base/monitor.hpp"
#include "cvxrelu/base/parallel.hpp"
#include "cvxrelu/base/types.hpp"
#include "cvxrelu/cones/cell_walk.hpp"
#include "cvxrelu/cones/cone_program.hpp"
#include "cvxrelu/cones/direction_tree.hpp"
#include "cvxrelu/cones/pricing_tree.hpp"
#include "cvxrelu/gated/duality.hpp"
#include "cvxrelu/gated/gate_search.hpp"
#include "cvxrelu/gated/group_lasso.hpp"
#include "cvxrelu/gated/proximal_newton.hpp"
#include "cvxrelu/kernels/masking_kernel.hpp"
#include "cvxrelu/kernels/mkl.hpp"
#include "cvxrelu/kernels/ntk.hpp"
#include "cvxrelu/losses/losses.hpp"
#include "cvxrelu/losses/unpenalised.hpp"
#include "cvxrelu/masks/bits.hpp"
#include "cvxrelu/masks/masked_design.hpp"
#include "cvxrelu/networks/evaluate.hpp"

using namespace cvxrelu;

std::int64_t count_cells(const RowMatrix& X, Monitor& monitor) {
  return Arrangement(X, 0, true).count(1'000'000'000, default_threads(), monitor);
}

struct Printing : Monitor {
  bool report(const Progress& progress) override {
    std::cout << progress.iteration << ": gap " << progress.gap << "\n";
    return progress.relative_gap > 1e-3;  // enough for me
  }
};
