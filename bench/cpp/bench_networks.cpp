// Values of networks. "flop" counts the products alone: of samples with neurons, and with gates where there are some.
#include <benchmark/benchmark.h>

#include "cvxrelu/networks/evaluate.hpp"

namespace cvxrelu::bench {
namespace {

void evaluate(benchmark::State& state, bool gated) {
  const Index n = state.range(0), d = state.range(1), m = state.range(2);
  const RowMatrix Z = RowMatrix::Random(n, d), W1 = RowMatrix::Random(m, d), w2 = RowMatrix::Random(m, 1);
  const RowMatrix gates = RowMatrix::Random(gated ? m : 0, d);
  RowMatrix values(n, 1);
  Monitor monitor;
  for (auto _ : state) evaluate_network(Z, {W1, gates, w2, false}, values, 1, monitor);
  state.counters["flop"] = benchmark::Counter(2.0 * static_cast<double>(n * d * m) * (gated ? 2 : 1),
                                              benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK_CAPTURE(evaluate, gated, true)
    ->ArgNames({"n", "d", "m"})
    ->Unit(benchmark::kMillisecond)
    ->Args({100000, 20, 125})
    ->Args({2000, 784, 500});
BENCHMARK_CAPTURE(evaluate, relu, false)
    ->ArgNames({"n", "d", "m"})
    ->Unit(benchmark::kMillisecond)
    ->Args({100000, 20, 47});

}  // namespace
}  // namespace cvxrelu::bench
