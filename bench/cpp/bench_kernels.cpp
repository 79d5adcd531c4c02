// Kernels and one iteration of reweighting. "gemm" counts the flops of the same result by dense products (half of the
// matrix where it is symmetric), so that its rate compares with that of `gemm`.
#include <benchmark/benchmark.h>

#include "cvxrelu/algebra/symmetric.hpp"
#include "cvxrelu/kernels/masking_kernel.hpp"
#include "cvxrelu/kernels/mkl.hpp"
#include "cvxrelu/kernels/ntk.hpp"
#include "data.hpp"

namespace cvxrelu::bench {
namespace {

double flops(Index n, Index inner) {
  return static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(inner);
}

void set_rate(benchmark::State& state, double work) {
  state.counters["gemm"] = benchmark::Counter(work, benchmark::Counter::kIsIterationInvariantRate);
}

void gemm(benchmark::State& state) {
  const RowMatrix A = RowMatrix::Random(state.range(0), state.range(1)), B = A;
  RowMatrix out(A.rows(), A.rows());
  for (auto _ : state) {
    out.noalias() = A * B.transpose();
    benchmark::DoNotOptimize(out.data());
  }
  set_rate(state, 2 * flops(A.rows(), A.cols()));
}
BENCHMARK(gemm)->ArgNames({"n", "inner"})->Unit(benchmark::kMillisecond)->Args({5000, 50})->Args({2000, 5000});

void ntk(benchmark::State& state, NtkKind kind, int depth) {
  const RowMatrix X = RowMatrix::Random(state.range(0), state.range(1));
  RowMatrix out(X.rows(), X.rows());
  Monitor monitor;
  for (auto _ : state) cvxrelu::ntk(X, kind, depth, out, 1, monitor);
  set_rate(state, flops(X.rows(), X.cols()));
}
BENCHMARK_CAPTURE(ntk, gated, NtkKind::gated, 1)->ArgNames({"n", "d"})->Unit(benchmark::kMillisecond)->Args({5000, 50});
BENCHMARK_CAPTURE(ntk, relu, NtkKind::relu, 1)->ArgNames({"n", "d"})->Unit(benchmark::kMillisecond)->Args({5000, 50});
BENCHMARK_CAPTURE(ntk, relu3, NtkKind::relu, 3)->ArgNames({"n", "d"})->Unit(benchmark::kMillisecond)->Args({5000, 50});

void masking_kernel(benchmark::State& state) {
  const Data data(state.range(0), state.range(1), state.range(2));
  const Vector eta = Vector::Constant(state.range(2), 0.5);
  RowMatrix out(state.range(0), state.range(0));
  Monitor monitor;
  for (auto _ : state) cvxrelu::masking_kernel(data.X, data.words, eta, out, 1, monitor);
  set_rate(state, flops(state.range(0), state.range(2)));
}
BENCHMARK(masking_kernel)
    ->ArgNames({"n", "d", "p"})
    ->Unit(benchmark::kMillisecond)
    ->Args({1000, 20, 1000})
    ->Args({2000, 20, 5000});

void factorise(benchmark::State& state) {
  const Index n = state.range(0);
  const Matrix A = Matrix::Identity(n, n) * 2;
  Matrix work(n, n);
  Monitor monitor;
  for (auto _ : state) {
    work = A;
    benchmark::DoNotOptimize(cholesky(work, 1, monitor));
  }
  set_rate(state, flops(n, n) / 3);
}
BENCHMARK(factorise)->ArgName("n")->Unit(benchmark::kMillisecond)->Arg(1000)->Arg(2000);

void reweight(benchmark::State& state) {
  const Data data(state.range(0), state.range(1), state.range(2));
  Monitor monitor;
  const MaskedDesign design(data.X, data.words, 1, monitor);
  const Vector eta = Vector::Constant(state.range(2), 1.0 / static_cast<double>(state.range(2)));
  MklSettings settings;
  settings.max_iter = 1;
  for (auto _ : state)
    benchmark::DoNotOptimize(
        reweight_kernels(design, data.y, Matrix(data.y.rows(), 0), 1.0, eta, settings, monitor).best);
}
BENCHMARK(reweight)->ArgNames({"n", "d", "p"})->Unit(benchmark::kMillisecond)->Args({1000, 20, 1000});

}  // namespace
}  // namespace cvxrelu::bench
