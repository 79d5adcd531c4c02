// Cone projections, pricing over a list, walks, branch and bound, and the ReLU program of bench/peers/relu.py.
#include <benchmark/benchmark.h>

#include "cvxrelu/cones/cell_walk.hpp"
#include "cvxrelu/cones/cone_program.hpp"
#include "cvxrelu/cones/pricing_tree.hpp"
#include "data.hpp"

namespace cvxrelu::bench {
namespace {

void project(benchmark::State& state) {
  Data data(state.range(0), state.range(1), 64);
  const UnitRows rows(data.X);
  ConeProjector projector(rows);
  const Matrix points = gaussian(64, state.range(1), 6).transpose();
  std::vector<ConePool> pools(64);
  std::vector<std::vector<Index>> supports(64);
  const bool warm = state.range(2) != 0;
  for (auto _ : state)
    for (Index i = 0; i < 64; ++i) {
      const auto k = static_cast<std::size_t>(i);
      if (!warm) {
        pools[k] = {};
        supports[k].clear();
      }
      benchmark::DoNotOptimize(projector.project(data.words.row(i).data(), pools[k], points.col(i).data(), 0,
                                                 ConeProjector::Check::all, supports[k]));
    }
  state.SetItemsProcessed(state.iterations() * 64);
}
BENCHMARK(project)
    ->ArgNames({"n", "d", "warm"})
    ->Unit(benchmark::kMicrosecond)
    ->ArgsProduct({{300}, {10}, {0, 1}})
    ->ArgsProduct({{1000}, {20}, {0, 1}});

void solve(benchmark::State& state) {
  Data data(state.range(0), state.range(1), state.range(2));
  const Vector y = data.y;
  ConeProgramResult result;
  for (auto _ : state) {
    ConeList list(data.X, 1, data.monitor);
    list.append(data.words);
    ConeProgram program(list, make_squared_cone_loss(y), Matrix(y.size(), 0), 0);
    result = program.solve(program.beta_max() / static_cast<double>(state.range(3)), {}, data.monitor);
  }
  state.counters["gap"] = result.relative_gap;
  state.counters["neurons"] = static_cast<double>(result.cones.size());
  state.counters["newton"] = static_cast<double>(result.work.n_newton);
}
BENCHMARK(solve)
    ->ArgNames({"n", "d", "p", "beta_max/beta"})
    ->Unit(benchmark::kMillisecond)
    ->ArgsProduct({{100}, {5}, {50}, {10, 100, 1000}})
    ->ArgsProduct({{300}, {10}, {100}, {10, 100, 1000}})
    ->ArgsProduct({{1000}, {20}, {200}, {10, 100}});

void walk(benchmark::State& state) {
  Data data(state.range(0), state.range(1), 1);
  const UnitRows rows(data.X);
  const Vector theta = data.y;
  const RowMatrix starts = gaussian(10, state.range(1), 7);
  double best = 0;
  for (auto _ : state)
    benchmark::DoNotOptimize(walk_cells(data.X, rows, theta, starts, {}, 0, 1e300, data.monitor, best));
  state.SetItemsProcessed(state.iterations() * 20);
}
BENCHMARK(walk)->ArgNames({"n", "d"})->Unit(benchmark::kMillisecond)->Args({300, 10})->Args({1000, 20});

void tree(benchmark::State& state) {
  Data data(state.range(0), state.range(1), 1);
  const Vector theta = data.y;
  Index nodes = 0;
  for (auto _ : state) nodes = price_by_tree(data.X, theta, {}, data.monitor).n_nodes;
  state.counters["nodes"] = static_cast<double>(nodes);
}
BENCHMARK(tree)->ArgNames({"n", "d"})->Unit(benchmark::kMillisecond)->Args({30, 4})->Args({40, 5})->Args({60, 6});

}  // namespace
}  // namespace cvxrelu::bench
