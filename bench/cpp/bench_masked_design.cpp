// Products with the masked design. "adds" counts the vector-lane additions of the bit tables, "gemm" the flops that the
// same product takes as a dense matrix product; the floor in bytes is one reading of X and of the bits.
#include <benchmark/benchmark.h>

#include <numeric>

#include "cvxrelu/masks/masked_design.hpp"
#include "data.hpp"

namespace cvxrelu::bench {
namespace {

void shapes(benchmark::internal::Benchmark* b) {
  for (const auto& [n, d, p] : {std::tuple{500, 10, 200},
                                {1000, 20, 1000},
                                {5000, 50, 200},
                                {2000, 100, 1000},
                                {20000, 20, 500},
                                {300, 500, 500}})
    b->Args({n, d, p});
  b->ArgNames({"n", "d", "p"})->Unit(benchmark::kMicrosecond);
}

void count(benchmark::State& state, double n, double d, double m) {
  using benchmark::Counter;
  const auto rate = [](double x) { return Counter(x, Counter::kIsIterationInvariantRate, Counter::kIs1000); };
  state.counters["adds/s"] = rate(n * d * (m / 4 + 4));
  state.counters["gemm flop/s"] = rate(2 * n * d * m);
  state.counters["floor byte/s"] = rate(8 * n * d + n * m / 8);
}

void correlations(benchmark::State& state) {
  Data data(state.range(0), state.range(1), state.range(2));
  const MaskedDesign design(data.X, data.words, 1, data.monitor);
  Matrix out(state.range(1), state.range(2));
  for (auto _ : state) {
    design.correlations(data.y, out);
    benchmark::DoNotOptimize(out.data());
  }
  count(state, state.range(0), state.range(1), state.range(2));
}
BENCHMARK(correlations)->Apply(shapes);

template <class S>
void newton_product(benchmark::State& state) {
  Data data(state.range(0), state.range(1), state.range(2));
  const MaskedDesign design(data.X, data.words, 1, data.monitor);
  const Index m = state.range(2) / 5;
  std::vector<Index> groups(static_cast<std::size_t>(m));
  std::iota(groups.begin(), groups.end(), 0);
  const RestrictedDesign active(design, groups);
  const Matrix W = gaussian(state.range(1), m, 6);
  Matrix fitted(state.range(0), 1), out(state.range(1), m);
  for (auto _ : state) {
    active.fitted<S>(W, fitted);
    active.correlations<S>(fitted, out);
    benchmark::DoNotOptimize(out.data());
  }
  count(state, 2 * state.range(0), state.range(1), m);
}
BENCHMARK(newton_product<float>)->Apply(shapes);
BENCHMARK(newton_product<double>)->Apply(shapes);

void block_step(benchmark::State& state) {
  Data data(state.range(0), state.range(1), state.range(2));
  const MaskedDesign design(data.X, data.words, 1, data.monitor);
  const Matrix W = 1e-9 * gaussian(state.range(1), 1, 6);
  Matrix out(state.range(1), 1);
  Index i = 0;
  for (auto _ : state) {
    const Index next = (i + 1) % state.range(2);
    design.update_and_correlate(i, W.data(), data.y, next, out);
    benchmark::DoNotOptimize(out.data());
    i = next;
  }
  // Two products with about half of the rows.
  count(state, state.range(0), state.range(1), 1);
}
BENCHMARK(block_step)->Apply(shapes);

void gram(benchmark::State& state) {
  Data data(state.range(0), state.range(1), state.range(2));
  const MaskedDesign design(data.X, data.words, 1, data.monitor);
  Matrix out(state.range(1), state.range(1));
  for (auto _ : state) {
    design.gram(0, out);
    benchmark::DoNotOptimize(out.data());
  }
  // The lower triangle over about half of the rows.
  const double n = state.range(0), d = state.range(1);
  const auto rate = benchmark::Counter::kIsIterationInvariantRate;
  state.counters["flop/s"] = benchmark::Counter(0.5 * n * d * d, rate, benchmark::Counter::kIs1000);
  state.counters["floor byte/s"] = benchmark::Counter(4 * n * d + n / 8, rate, benchmark::Counter::kIs1000);
}
BENCHMARK(gram)->Apply(shapes);

}  // namespace
}  // namespace cvxrelu::bench
