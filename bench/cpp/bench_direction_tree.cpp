// Pricing by subdivision of directions: nodes, and seconds, to relative accuracies of the maximum.
#include <benchmark/benchmark.h>

#include "cvxrelu/cones/direction_tree.hpp"
#include "data.hpp"

namespace cvxrelu::bench {
namespace {

void subdivide(benchmark::State& state) {
  Data data(state.range(0), state.range(1), 1);
  const Vector theta = data.y;
  DirectionSettings settings;
  settings.accuracy = 1 / static_cast<double>(state.range(2));
  settings.max_nodes = 100000000;
  settings.n_threads = static_cast<int>(state.range(3));
  DirectionResult result;
  for (auto _ : state) result = price_by_directions(data.X, theta, settings, data.monitor);
  state.counters["nodes"] = static_cast<double>(result.n_nodes);
  state.SetItemsProcessed(state.iterations() * result.n_nodes);
}
BENCHMARK(subdivide)
    ->ArgNames({"n", "d", "1/accuracy", "threads"})
    ->Unit(benchmark::kMillisecond)
    ->ArgsProduct({{100, 1000, 10000}, {4}, {1000000}, {1}})
    ->ArgsProduct({{100, 1000}, {5}, {100, 1000000}, {1}})
    ->ArgsProduct({{100}, {8}, {100, 1000000}, {1, 2}})
    ->ArgsProduct({{300}, {10}, {2}, {1}});

}  // namespace
}  // namespace cvxrelu::bench
