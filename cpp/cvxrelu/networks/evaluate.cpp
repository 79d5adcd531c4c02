#include "cvxrelu/networks/evaluate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cvxrelu/algebra/lanes.hpp"
#include "cvxrelu/algebra/row_norms.hpp"
#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/base/parallel.hpp"
#include "cvxrelu/exact/predicates.hpp"

namespace cvxrelu {

namespace {

using Lanes = Vec<double>;

constexpr int kVectors = 4;  // of samples: eight sums of two products hide each other's latency and fit the registers
constexpr Index kSamples = kVectors * kLanes<double>;

/// Some samples side by side in lanes, and their values so far.
class SampleBlock {
 public:
  SampleBlock(const NetworkView& network, const Vector& gate_norms)
      : network_(network),
        gate_norms_(gate_norms),
        inputs_(network.W1.cols()),
        outputs_(network.w2.cols()),
        tiny_(static_cast<double>(inputs_) * std::numeric_limits<double>::min()),
        x_(inputs_ * kSamples),
        values_(outputs_ * kSamples),
        sample_(inputs_) {}

  /// Evaluates the network on rows [first, first + count) of Z.
  void evaluate(const RowMatrixView& Z, Index first, Index count, RowMatrixOut values) {
    fill_lanes(Z, first, count);
    std::fill_n(values_.data(), outputs_ * kSamples, 0.0);
    if (network_.gates.rows() > 0)
      add_gated();
    else
      add_relus();
    for (Index s = 0; s < count; ++s)
      for (Index k = 0; k < outputs_; ++k) values(first + s, k) = values_[k * kSamples + s];
  }

 private:
  void fill_lanes(const RowMatrixView& Z, Index first, Index count) {
    std::fill_n(x_.data(), inputs_ * kSamples, 0.0);
    const double factor = dot_error_factor(inputs_);
    for (Index s = 0; s < kSamples; ++s) {
      if (s >= count) {
        bound_[s] = -1;  // nothing to decide
        continue;
      }
      sample_.head(Z.cols()) = Z.row(first + s);
      if (network_.bias) sample_[inputs_ - 1] = 1;
      for (Index k = 0; k < inputs_; ++k) x_[k * kSamples + s] = sample_[k];
      const double square = sample_.squaredNorm();
      const bool within_range = square > 1e-280 && square < 1e280;  // nothing of weight under- or overflowed
      bound_[s] = factor * (within_range ? std::sqrt(square) : sample_.stableNorm());
    }
  }

  /// Products of all samples with two vectors.
  void products(const double* a, const double* b, Lanes* xa, Lanes* xb) const {
    for (int v = 0; v < kVectors; ++v) xa[v] = xb[v] = Lanes{};
    for (Index k = 0; k < inputs_; ++k) {
      const Lanes ak = broadcast(a[k]), bk = broadcast(b[k]);
      for (int v = 0; v < kVectors; ++v) {
        const Lanes x = load(x_.data() + k * kSamples + v * kLanes<double>);
        xa[v] += ak * x;
        xb[v] += bk * x;
      }
    }
  }

  void add_to_values(Index neuron, const Lanes* hidden) {
    for (Index k = 0; k < outputs_; ++k) {
      const Lanes weight = broadcast(network_.w2(neuron, k));
      for (int v = 0; v < kVectors; ++v) {
        double* value = values_.data() + k * kSamples + v * kLanes<double>;
        store(value, load(value) + weight * hidden[v]);
      }
    }
  }

  void add_relus() {
    const Index m = network_.W1.rows();
    for (Index j = 0; j < m; j += 2) {
      const Index next = std::min(j + 1, m - 1);
      Lanes hidden[2][kVectors];
      products(network_.W1.row(j).data(), network_.W1.row(next).data(), hidden[0], hidden[1]);
      for (auto& of_neuron : hidden)
        for (Lanes& h : of_neuron) h = h < 0 ? Lanes{} : h;  // NaN stays
      add_to_values(j, hidden[0]);
      if (next > j) add_to_values(next, hidden[1]);
    }
  }

  void add_gated() {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    for (Index j = 0; j < network_.W1.rows(); ++j) {
      Lanes hidden[kVectors], dots[kVectors];
      products(network_.W1.row(j).data(), network_.gates.row(j).data(), hidden, dots);
      const Lanes gate_norm = broadcast(gate_norms_[j]), tiny = broadcast(tiny_);  // what underflow may take
      for (int v = 0; v < kVectors; ++v) {
        const Lanes size = absolute<double>(dots[v]), bound = load(bound_ + v * kLanes<double>);
        const auto decided = less_bits(bound * gate_norm + tiny, size) & less_bits(size, broadcast(kInfinity));
        if (decided == kAllLanes<double>)
          hidden[v] = dots[v] < 0 ? Lanes{} : hidden[v];
        else
          switch_off_exactly(j, v, ~decided & kAllLanes<double>, dots[v], hidden[v]);
      }
      add_to_values(j, hidden);
    }
  }

  void switch_off_exactly(Index neuron, int v, std::uint32_t undecided, Lanes dots, Lanes& hidden) {
    for (int lane = 0; lane < kLanes<double>; ++lane) {
      bool active = dots[lane] >= 0;
      if (undecided >> lane & 1) {
        for (Index k = 0; k < inputs_; ++k) sample_[k] = x_[k * kSamples + v * kLanes<double> + lane];
        active = exact_dot_sign(sample_.data(), network_.gates.row(neuron).data(), inputs_) >= 0;
      }
      if (!active) hidden[lane] = 0;
    }
  }

  const NetworkView& network_;
  const Vector& gate_norms_;
  Index inputs_, outputs_;
  double tiny_;
  AlignedArray<double> x_;              // inputs x samples
  AlignedArray<double> values_;         // outputs x samples
  alignas(64) double bound_[kSamples];  // rounding of a product with a gate of length one
  Vector sample_;
};

}  // namespace

void evaluate_network(const RowMatrixView& Z, const NetworkView& network, RowMatrixOut values, int n_threads,
                      Monitor& monitor) {
  const Index n = Z.rows(), m = network.W1.rows(), d = network.W1.cols();
  require(Z.cols() + network.bias == d, "Z and W1 must have the same number of inputs");
  require(network.gates.rows() == 0 || (network.gates.rows() == m && network.gates.cols() == d),
          "gates must have the shape of W1");
  require(network.w2.rows() == m, "w2 must have one row per neuron");
  require(values.rows() == n && values.cols() == network.w2.cols(), "values must be (n_samples, n_outputs)");

  const Vector gate_norms = row_norms(network.gates);
  constexpr double kPiece = 1 << 26;  // multiply-adds of one thread between two looks at the monitor
  const double work = static_cast<double>(kSamples) * static_cast<double>(std::max<Index>(m * d, 1));
  const Index piece = std::max(n_threads, 1) * kSamples * std::max<Index>(1, static_cast<Index>(kPiece / work));
  for (Index begin = 0; begin < n; begin += piece) {
    const Index size = std::min(n - begin, piece), blocks = (size + kSamples - 1) / kSamples;
    const int threads = static_cast<int>(std::clamp<Index>(n_threads, 1, blocks));
    parallel_ranges(size, threads, kSamples, [&](int, Index from, Index to) {
      SampleBlock block(network, gate_norms);
      for (Index first = begin + from; first < begin + to; first += kSamples)
        block.evaluate(Z, first, std::min(kSamples, begin + to - first), values);
    });
    monitor.poll();
  }
}

}  // namespace cvxrelu
