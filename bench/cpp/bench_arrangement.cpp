// Cells of arrangements, one thread. "node" and "leaf" share their cost out: `count` makes every decision of the search
// and writes nothing, `masks` adds the packed bits, `gates` the interior points, `certified` their verification.
#include "cvxrelu/arrangement/arrangement.hpp"

#include <benchmark/benchmark.h>

#include <random>

#include "cvxrelu/masks/bits.hpp"

namespace cvxrelu {
namespace {

RowMatrix gaussian(Index n, Index d) {
  std::mt19937_64 random(1);
  std::normal_distribution<double> normal;
  RowMatrix X(n, d);
  for (Index k = 0; k < X.size(); ++k) X.data()[k] = normal(random);
  return X;
}

/// All 0/1 rows but zero; with `bias` all 0/1 rows after a one.
RowMatrix corners(int d, bool bias) {
  const Index first = bias ? 0 : 1, n = (Index{1} << d) - first;
  RowMatrix X(n, d + bias);
  for (Index j = 0; j < n; ++j) {
    if (bias) X(j, d) = 1;
    for (int k = 0; k < d; ++k) X(j, k) = static_cast<double>(((j + first) >> k) & 1);
  }
  return X;
}

RowMatrix braid(int m) {
  RowMatrix X = RowMatrix::Zero(m * (m - 1) / 2, m - 1);
  Index row = 0;
  for (int i = 0; i < m; ++i) {
    for (int j = i + 1; j < m; ++j, ++row) {
      X(row, i) = 1;
      if (j < m - 1) X(row, j) = -1;
    }
  }
  return X;
}

enum Output { kCount, kMasks, kGates, kCertified };

void enumerate(benchmark::State& state, const RowMatrix& X, Output output) {
  Monitor monitor;
  const std::int64_t cells = Arrangement(X, 0, false).count(INT64_MAX - 1, 1, monitor);
  WordMatrix words;
  RowMatrix gates;
  if (output >= kMasks) words.setZero(2 * cells + (1 << 20), words_for(X.rows()));  // touched before the clock starts
  if (output >= kGates) gates.setZero(words.rows(), X.cols());
  for (auto _ : state) {
    Arrangement arrangement(X, 0, output == kCertified);
    std::int64_t found = 0;
    if (output == kCount) {
      found = arrangement.count(INT64_MAX - 1, 1, monitor);
    } else {
      found = arrangement.fill(words.data(), output >= kGates ? gates.data() : nullptr, words.rows(), 1, monitor);
    }
    if (found != cells) state.SkipWithError("wrong number of cells");
  }
  state.counters["cells"] = static_cast<double>(cells);
  state.counters["cells/s"] =
      benchmark::Counter(static_cast<double>(cells), benchmark::Counter::kIsIterationInvariantRate);
}

void elimination(benchmark::State& state) {
  // In rank d the search for one prefix of d - 3 elements: some n eliminations, and their leaves.
  const RowMatrix X = gaussian(state.range(0), state.range(1));
  const ArrangementRows rows(X, true);
  struct Silent : Pulse {
    void beat(std::int64_t, unsigned) override {}
  } silent;
  const auto search = make_search(rows, SearchSettings(), silent);
  for (auto _ : state) {
    for (int j = 0; j < rows.n; ++j) benchmark::DoNotOptimize(search->is_candidate(j));
  }
  state.SetItemsProcessed(state.iterations() * rows.n);
}
BENCHMARK(elimination)->Args({40, 6})->Args({60, 4})->Args({1000, 3})->Args({20, 10});

const bool registered = [] {
  const std::pair<const char*, RowMatrix> designs[] = {
      {"generic 30x5", gaussian(30, 5)},   {"generic 40x6", gaussian(40, 6)},
      {"generic 60x4", gaussian(60, 4)},   {"generic 1000x3", gaussian(1000, 3)},
      {"generic 20x10", gaussian(20, 10)}, {"resonance 6", corners(6, false)},
      {"threshold 5", corners(5, true)},   {"braid 9", braid(9)}};
  const std::pair<const char*, Output> outputs[] = {
      {"count", kCount}, {"masks", kMasks}, {"gates", kGates}, {"certified", kCertified}};
  for (const auto& [design, X] : designs) {
    for (const auto& [name, output] : outputs) {
      benchmark::RegisterBenchmark((std::string(design) + "/" + name).c_str(), [X = X,
                                                                                output = output](benchmark::State& s) {
        enumerate(s, X, output);
      })->Unit(benchmark::kMillisecond);
    }
  }
  return true;
}();

}  // namespace
}  // namespace cvxrelu
