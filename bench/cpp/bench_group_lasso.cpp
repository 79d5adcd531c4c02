// The whole solver on the problems of bench/peers/gated.py, and one block update.
#include <benchmark/benchmark.h>

#include "cvxrelu/gated/block_update.hpp"
#include "cvxrelu/gated/group_lasso.hpp"
#include "data.hpp"

namespace cvxrelu::bench {
namespace {

void solve(benchmark::State& state) {
  Data data(state.range(0), state.range(1), state.range(2));
  const MaskedDesign design(data.X, data.words, 1, data.monitor);
  const Vector omega = Vector::Ones(state.range(2));
  const Matrix none(state.range(0), 0);
  const GroupLassoProblem problem{design, data.y, 0.0, omega, 0.0, none};
  const double beta = group_lasso_beta_max(problem) / static_cast<double>(state.range(3));
  std::vector<GroupLassoResult> path;
  for (auto _ : state) {
    path.clear();
    solve_group_lasso(problem, {beta}, {}, Matrix(), data.monitor, path);
  }
  state.counters["gap"] = path.front().relative_gap;
  state.counters["active"] = static_cast<double>(path.front().active.size());
  state.counters["passes"] = static_cast<double>(path.front().n_iter);
  state.counters["cg"] = static_cast<double>(path.front().n_cg);
}
BENCHMARK(solve)
    ->ArgNames({"n", "d", "p", "beta_max/beta"})
    ->Unit(benchmark::kMillisecond)
    ->ArgsProduct({{500}, {10}, {200}, {10, 100, 1000}})
    ->ArgsProduct({{1000}, {20}, {1000}, {10, 100, 1000}})
    ->ArgsProduct({{300}, {500}, {500}, {10, 100, 1000}});

void sweep(benchmark::State& state) {
  Data data(state.range(0), state.range(1), state.range(2));
  const MaskedDesign design(data.X, data.words, 1, data.monitor);
  const Vector omega = Vector::Ones(state.range(2));
  const Matrix none(state.range(0), 0);
  GroupLassoProblem problem{design, data.y, 0.0, omega, 0.0, none};
  problem.beta = 0.1 * group_lasso_beta_max(problem);
  std::vector<Index> groups;
  for (Index i = 0; i < 30; ++i) groups.push_back(i);
  BlockUpdate blocks(design);
  Iterate iterate(problem);
  for (auto _ : state) {
    blocks.sweep(problem, groups, iterate);
    benchmark::DoNotOptimize(iterate.residual.data());
  }
  state.SetItemsProcessed(state.iterations() * 30);
}
BENCHMARK(sweep)
    ->ArgNames({"n", "d", "p"})
    ->Unit(benchmark::kMicrosecond)
    ->Args({1000, 20, 1000})
    ->Args({5000, 50, 200});

}  // namespace
}  // namespace cvxrelu::bench
