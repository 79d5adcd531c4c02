#include "cvxrelu/masks/masked_design.hpp"

#include <algorithm>

#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/base/parallel.hpp"
#include "cvxrelu/masks/bits.hpp"

namespace cvxrelu {

namespace {

// Below so many multiply-adds of the explicit product, waking threads costs more than they save.
constexpr Index kParallelWork = 4'000'000;
// Multiply-adds of the explicit product that take some 10 ms, between which the monitor is asked.
constexpr Index kPollWork = 200'000'000;

const std::uint8_t* as_bytes(const Word* words) { return reinterpret_cast<const std::uint8_t*>(words); }

// Row k of the matrix with rows vec(x_k v_k'), which the correlations sum over the active samples.
template <class S>
struct OuterRows {
  const PaddedRows& rows;
  const MatrixView& V;
  Index d;

  void operator()(Index k, Index column, Index count, S* target) const {
    const double* x = rows[k];
    if (V.cols() == 1) {
      const S v = static_cast<S>(V(k, 0));
      if (column + count <= rows.width()) {
        for (Index j = 0; j < count; ++j) target[j] = v * static_cast<S>(x[column + j]);
        return;
      }
    }
    for (Index j = 0; j < count;) {
      const Index output = (column + j) / d, feature = (column + j) % d;
      if (output >= V.cols()) {
        std::fill(target + j, target + count, S(0));
        return;
      }
      const Index run = std::min(count - j, d - feature);
      const S v = static_cast<S>(V(k, output));
      for (Index i = 0; i < run; ++i) target[j + i] = v * static_cast<S>(x[feature + i]);
      j += run;
    }
  }
};

// Ranges of samples whose sums are kept apart and then added in their order. They do not depend on the threads, nor do
// the bits of the result then.
Index sample_ranges(Index n, Index least = 256) {
  constexpr Index kMost = 32;
  Index ranges = 1;
  while (ranges < kMost && 2 * ranges * least <= n) ranges *= 2;
  return ranges;
}

// X' D V for the patterns in `bits`, by threads over samples where they are many, else over patterns, for each of which
// all tables are built anew.
template <class S>
void correlate(const MaskedDesign& design, BitRows bits, const MatrixView& V, Eigen::Ref<Matrix> out) {
  if (bits.rows == 0) return;
  const Index n = design.n_samples(), d = design.n_features(), size = d * V.cols();
  const Index width = padded<S>(size), stride = bits.rows * width;
  const OuterRows<S> fill{design.rows(), V, d};
  const int threads = n * stride >= kParallelWork ? design.n_threads() : 1;
  const Index chunk = std::min(n, std::max<Index>(512, kPollWork / stride / 64 * 64));
  const Index parts = 4 * bits.rows <= n ? sample_ranges(chunk) : 1;
  AlignedArray<S> sums(parts * stride);
  // The product of a range of samples for a range of patterns.
  const auto multiply = [&](Index part, Index first, Index last, Index begin, Index end) {
    S* target = sums.data() + part * stride + begin * width;
    if (first < chunk) std::fill_n(target, (end - begin) * width, S(0));
    bit_product<S>({bits.bytes + begin * bits.stride, bits.stride, end - begin}, first, last, width, fill, target,
                   width);
  };
  for (Index first = 0; first < n; first += chunk) {
    const Index last = std::min(n, first + chunk);
    if (parts == 1) {
      parallel_ranges(bits.rows, threads, 1,
                      [&](int, Index begin, Index end) { multiply(0, first, last, begin, end); });
    } else {
      const Index words = (last - first + 63) / 64;
      parallel_tasks(parts, threads, [&](Index part, int) {
        const Index end = std::min(last, first + 64 * (words * (part + 1) / parts));
        multiply(part, first + 64 * (words * part / parts), end, 0, bits.rows);
      });
    }
    design.monitor().poll();
  }
  parallel_ranges(bits.rows, parts * stride >= kParallelWork / 32 ? threads : 1, 1, [&](int, Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const S* sum = sums.data() + i * width;
      double* target = out.col(i).data();
      for (Index j = 0; j < size; ++j) target[j] = static_cast<double>(sum[j]);
      for (Index part = 1; part < parts; ++part) {
        sum += stride;
        for (Index j = 0; j < size; ++j) target[j] += static_cast<double>(sum[j]);
      }
    }
  });
}

// r[k] -= x_k.weights for the active ones of 64 samples, the first of which is `first`.
void subtract_fitted(const PaddedRows& rows, Index first, Word active, const double* weights, Index width, double* r) {
  using V = Simd<double>;
  for (; active != 0; active &= active - 1) {
    const Index k = __builtin_ctzll(active);
    const double* x = rows[first + k];
    V::Vec dot = V::load(x) * V::load(weights);
    for (Index j = V::lanes; j < width; j += V::lanes) dot += V::load(x + j) * V::load(weights + j);
    r[k] -= V::sum(dot);
  }
}

// sum += r[k] x_k for the active ones of 64 samples, in `kVectors` vectors of columns held in registers. Two samples
// at a time, since a single chain of additions would wait for its own latency.
template <int kVectors>
void accumulate_slab(const PaddedRows& rows, Index first, Word active, const double* r, Index column, double* sum) {
  using V = Simd<double>;
  V::Vec even[kVectors], odd[kVectors];
  for (int z = 0; z < kVectors; ++z) {
    even[z] = V::load(sum + column + z * V::lanes);
    odd[z] = V::Vec{};
  }
  while (active != 0) {
    const Index k = __builtin_ctzll(active);
    active &= active - 1;
    const double* x = rows[first + k] + column;
    const V::Vec v = V::broadcast(r[k]);
    for (int z = 0; z < kVectors; ++z) even[z] += v * V::load(x + z * V::lanes);
    if (active == 0) break;
    const Index l = __builtin_ctzll(active);
    active &= active - 1;
    const double* y = rows[first + l] + column;
    const V::Vec u = V::broadcast(r[l]);
    for (int z = 0; z < kVectors; ++z) odd[z] += u * V::load(y + z * V::lanes);
  }
  for (int z = 0; z < kVectors; ++z) V::store(sum + column + z * V::lanes, even[z] + odd[z]);
}

void accumulate(const PaddedRows& rows, Index first, Word active, const double* r, Index width, double* sum) {
  constexpr Index lanes = Simd<double>::lanes;
  Index column = 0;
  for (; column + 4 * lanes <= width; column += 4 * lanes) accumulate_slab<4>(rows, first, active, r, column, sum);
  switch ((width - column) / lanes) {
    case 3:
      return accumulate_slab<3>(rows, first, active, r, column, sum);
    case 2:
      return accumulate_slab<2>(rows, first, active, r, column, sum);
    case 1:
      return accumulate_slab<1>(rows, first, active, r, column, sum);
  }
}

}  // namespace

PaddedRows::PaddedRows(const RowMatrixView& X)
    : data_(X.data()), d_(X.cols()), width_(padded<float>(X.cols())), direct_(X.rows()) {
  while (direct_ > 0 && (direct_ - 1) * d_ + width_ > X.rows() * d_) --direct_;
  tail_.assign(static_cast<std::size_t>((X.rows() - direct_) * width_), 0.0);
  for (Index k = direct_; k < X.rows(); ++k) std::copy_n(data_ + k * d_, d_, tail_.data() + (k - direct_) * width_);
}

MaskedDesign::MaskedDesign(const RowMatrixView& X, const WordMatrixView& words, int n_threads, Monitor& monitor)
    : X_(X),
      words_(words),
      rows_(X),
      squared_norms_(X.rowwise().squaredNorm()),
      n_threads_(n_threads),
      monitor_(monitor) {
  require(words.cols() == words_for(X.rows()), "words must have ceil(n_samples / 64) columns");
  require(n_threads >= 1, "n_threads must be at least 1");
}

void MaskedDesign::correlations(const MatrixView& V, Eigen::Ref<Matrix> out) const {
  correlate<double>(*this, {as_bytes(words_.data()), words_.cols() * 8, n_patterns()}, V, out);
}

double MaskedDesign::trace(Index i) const {
  double sum = 0;
  const Word* words = pattern(i);
  for (Index w = 0; w < words_.cols(); ++w)
    for (Word active = words[w]; active != 0; active &= active - 1)
      sum += squared_norms_[64 * w + __builtin_ctzll(active)];
  return sum;
}

void MaskedDesign::gram(Index i, Eigen::Ref<Matrix> out) const {
  // Active rows are gathered in tiles, so that the product is dense and the tile stays in cache.
  constexpr Index kTile = 256;
  const Index d = n_features();
  const Word* words = i >= 0 ? pattern(i) : nullptr;
  const auto partial = [&](Index begin, Index end, Matrix& sum) {
    if (!words) {
      const Index first = 64 * begin, last = std::min(n_samples(), 64 * end);
      sum.selfadjointView<Eigen::Lower>().rankUpdate(X_.middleRows(first, last - first).transpose());
      return;
    }
    Matrix tile(d, kTile);
    Index filled = 0;
    const auto flush = [&] {
      if (filled > 0) sum.selfadjointView<Eigen::Lower>().rankUpdate(tile.leftCols(filled));
      filled = 0;
    };
    for (Index w = begin; w < end; ++w)
      for (Word active = words[w]; active != 0; active &= active - 1) {
        tile.col(filled++) = X_.row(64 * w + __builtin_ctzll(active)).transpose();
        if (filled == kTile) flush();
      }
    flush();
  };
  const int threads = n_samples() * d * d >= kParallelWork ? n_threads_ : 1;
  const Index parts = sample_ranges(n_samples(), 8 * kTile);
  std::vector<Matrix> sums(static_cast<std::size_t>(parts), Matrix::Zero(d, d));
  parallel_tasks(parts, threads, [&](Index part, int) {
    partial(words_.cols() * part / parts, words_.cols() * (part + 1) / parts, sums[static_cast<std::size_t>(part)]);
  });
  for (std::size_t part = 1; part < sums.size(); ++part) sums[0] += sums[part];
  out = sums[0].selfadjointView<Eigen::Lower>();
}

void MaskedDesign::update_and_correlate(Index a, const double* W, Eigen::Ref<Matrix> R, Index b,
                                        Eigen::Ref<Matrix> out) const {
  const Index d = n_features(), c = R.cols(), width = padded<double>(d);
  const Word* mask_a = a >= 0 ? pattern(a) : nullptr;
  const Word* mask_b = b >= 0 ? pattern(b) : nullptr;
  const int threads = 32 * n_samples() * d >= kParallelWork ? n_threads_ : 1;  // no table saves work here
  const Index parts = sample_ranges(n_samples());

  AlignedArray<double> weights(c * width), sums(parts * c * width);
  std::fill_n(weights.data(), c * width, 0.0);
  std::fill_n(sums.data(), parts * c * width, 0.0);
  if (a >= 0)
    for (Index o = 0; o < c; ++o) std::copy_n(W + o * d, d, weights.data() + o * width);

  parallel_tasks(parts, threads, [&](Index part, int) {
    const Index end = words_.cols() * (part + 1) / parts;
    for (Index w = words_.cols() * part / parts; w < end; ++w)
      for (Index o = 0; o < c; ++o) {
        double* r = R.data() + o * R.outerStride() + 64 * w;
        if (mask_a) subtract_fitted(rows_, 64 * w, mask_a[w], weights.data() + o * width, width, r);
        if (mask_b) accumulate(rows_, 64 * w, mask_b[w], r, width, sums.data() + (part * c + o) * width);
      }
  });
  if (b < 0) return;
  for (Index part = 1; part < parts; ++part)
    for (Index j = 0; j < c * width; ++j) sums[j] += sums[part * c * width + j];
  for (Index o = 0; o < c; ++o) std::copy_n(sums.data() + o * width, d, out.col(o).data());
}

RestrictedDesign::RestrictedDesign(const MaskedDesign& design, std::vector<Index> patterns)
    : design_(design), patterns_(std::move(patterns)) {
  const Index n = design.n_samples(), n_words = words_for(n), m = size();
  by_pattern_.resize(static_cast<std::size_t>(m * n_words));
  for (Index a = 0; a < m; ++a)
    std::copy_n(design.pattern(patterns_[static_cast<std::size_t>(a)]), n_words, by_pattern_.data() + a * n_words);
  by_sample_.resize(static_cast<std::size_t>((n + 7) / 8 * 8 * ((m + 7) / 8)));
  const int threads = n * m >= kParallelWork / 32 ? design.n_threads() : 1;
  parallel_ranges((n + 7) / 8, threads, 64, [&](int, Index first, Index last) {
    transpose_bits({as_bytes(by_pattern_.data()), 8 * n_words, m}, first, last, by_sample_.data());
  });
}

template <class S>
void RestrictedDesign::correlations(const MatrixView& V, Eigen::Ref<Matrix> out) const {
  correlate<S>(design_, {as_bytes(by_pattern_.data()), 8 * words_for(design_.n_samples()), size()}, V, out);
}

template <class S>
void RestrictedDesign::fitted(const MatrixView& W, Eigen::Ref<Matrix> out) const {
  using Lanes = Simd<S>;
  const Index n = design_.n_samples(), d = design_.n_features(), c = out.cols(), m = size();
  const Index width = padded<S>(d);  // each output starts on a vector's border, lanes past d are zero
  const Index stride = (m + 7) / 8;
  const int threads = m * n * c * width >= kParallelWork ? design_.n_threads() : 1;
  AlignedArray<S> coefficients(std::max<Index>(m, 1) * c * width);
  std::fill_n(coefficients.data(), m * c * width, S(0));
  for (Index a = 0; a < m; ++a)
    for (Index o = 0; o < c; ++o)
      for (Index j = 0; j < d; ++j) coefficients[(a * c + o) * width + j] = static_cast<S>(W(o * d + j, a));
  const auto fill = [&](Index a, Index column, Index count, S* target) {
    std::copy_n(coefficients.data() + a * c * width + column, count, target);
  };
  constexpr Index kTile = 512;  // rows whose sums are held in cache between the tables and the dot product
  AlignedArray<S> sums(threads * kTile * c * width);
  const auto tile = [&](Index first, Index count, S* sum) {
    std::fill_n(sum, count * c * width, S(0));
    bit_product<S>({by_sample_.data() + first * stride, stride, count}, 0, m, c * width, fill, sum, c * width);
    for (Index k = 0; k < count; ++k) {
      const double* x = design_.rows()[first + k];
      for (Index o = 0; o < c; ++o, sum += width) {
        typename Lanes::Vec dot{};
        for (Index j = 0; j < width; j += Lanes::lanes) {
          S xs[Lanes::lanes];
          for (Index i = 0; i < Lanes::lanes; ++i) xs[i] = static_cast<S>(x[j + i]);
          dot += Lanes::load(xs) * Lanes::load(sum + j);
        }
        out(first + k, o) = static_cast<double>(Lanes::sum(dot));
      }
    }
  };
  const Index chunk = std::max(threads * kTile, kPollWork / (std::max<Index>(m, 1) * c * width) / kTile * kTile);
  for (Index first = 0; first < n; first += chunk) {
    const Index last = std::min(n, first + chunk);
    parallel_tasks((last - first + kTile - 1) / kTile, threads, [&](Index k, int thread) {
      const Index begin = first + k * kTile;
      tile(begin, std::min(kTile, last - begin), sums.data() + thread * kTile * c * width);
    });
    design_.monitor().poll();
  }
}

template void RestrictedDesign::correlations<float>(const MatrixView&, Eigen::Ref<Matrix>) const;
template void RestrictedDesign::correlations<double>(const MatrixView&, Eigen::Ref<Matrix>) const;
template void RestrictedDesign::fitted<float>(const MatrixView&, Eigen::Ref<Matrix>) const;
template void RestrictedDesign::fitted<double>(const MatrixView&, Eigen::Ref<Matrix>) const;

}  // namespace cvxrelu
