#include "cvxrelu/masked_design.hpp"

#include <algorithm>

#include "cvxrelu/bits.hpp"
#include "cvxrelu/errors.hpp"
#include "cvxrelu/parallel.hpp"

namespace cvxrelu {

namespace {

// Below so many multiply-adds of the explicit product, waking threads costs more than they save.
constexpr Index kParallelWork = 4'000'000;

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

// X' D V for the patterns in `bits`, by threads over patterns where there are many, else over samples.
template <class S>
void correlate(const MaskedDesign& design, BitRows bits, const MatrixView& V, Eigen::Ref<Matrix> out) {
  if (bits.rows == 0) return;
  const Index n = design.n_samples(), d = design.n_features(), size = d * V.cols();
  const Index width = padded<S>(size);
  const OuterRows<S> fill{design.rows(), V, d};
  const int threads = bits.rows * n * width >= kParallelWork ? design.n_threads() : 1;
  // Chunks of samples of some 10 ms, between which the monitor is asked.
  const Index chunk = std::max<Index>(512, Index(200'000'000) / (bits.rows * width) / 64 * 64);
  const auto in_chunks = [&](auto&& product) {
    for (Index first = 0; first < n; first += chunk) {
      product(first, std::min(n, first + chunk));
      design.monitor().poll();
    }
  };
  constexpr Index kTableRows = 16;  // building the tables costs about as much as so many patterns
  const bool over_patterns = threads == 1 || bits.rows >= 4 * kTableRows * threads;
  const int parts = over_patterns ? 1 : threads;
  AlignedArray<S> sums(parts * bits.rows * width);
  std::fill_n(sums.data(), parts * bits.rows * width, S(0));
  in_chunks([&](Index first, Index last) {
    if (over_patterns)
      parallel_ranges(bits.rows, threads, 1, [&](int, Index begin, Index end) {
        bit_product<S>({bits.bytes + begin * bits.stride, bits.stride, end - begin}, first, last, width, fill,
                       sums.data() + begin * width, width);
      });
    else
      parallel_ranges(last - first, threads, 64, [&](int part, Index begin, Index end) {
        bit_product<S>(bits, first + begin, first + end, width, fill, sums.data() + part * bits.rows * width, width);
      });
  });
  for (Index i = 0; i < bits.rows; ++i)
    for (Index j = 0; j < size; ++j) {
      double sum = 0;
      for (int part = 0; part < parts; ++part) sum += static_cast<double>(sums[(part * bits.rows + i) * width + j]);
      out(j, i) = sum;
    }
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
  const Word* words = pattern(i);
  const auto partial = [&](Index begin, Index end, Matrix& sum) {
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
  std::vector<Matrix> sums(static_cast<std::size_t>(threads), Matrix::Zero(d, d));
  parallel_ranges(words_.cols(), threads, 1,
                  [&](int part, Index begin, Index end) { partial(begin, end, sums[static_cast<std::size_t>(part)]); });
  for (std::size_t part = 1; part < sums.size(); ++part) sums[0] += sums[part];
  out = sums[0].selfadjointView<Eigen::Lower>();
}

void MaskedDesign::update_and_correlate(Index a, const double* W, Eigen::Ref<Matrix> R, Index b,
                                        Eigen::Ref<Matrix> out) const {
  const Index d = n_features(), c = R.cols(), width = padded<double>(d);
  const Word* mask_a = a >= 0 ? pattern(a) : nullptr;
  const Word* mask_b = b >= 0 ? pattern(b) : nullptr;
  const int threads = 16 * n_samples() * d >= kParallelWork ? n_threads_ : 1;  // no table saves work here

  AlignedArray<double> weights(c * width), sums(threads * c * width);
  std::fill_n(weights.data(), c * width, 0.0);
  std::fill_n(sums.data(), threads * c * width, 0.0);
  if (a >= 0)
    for (Index o = 0; o < c; ++o) std::copy_n(W + o * d, d, weights.data() + o * width);

  parallel_ranges(words_.cols(), threads, 1, [&](int part, Index begin, Index end) {
    for (Index w = begin; w < end; ++w)
      for (Index o = 0; o < c; ++o) {
        double* r = R.data() + o * R.outerStride() + 64 * w;
        if (mask_a) subtract_fitted(rows_, 64 * w, mask_a[w], weights.data() + o * width, width, r);
        if (mask_b) accumulate(rows_, 64 * w, mask_b[w], r, width, sums.data() + (part * c + o) * width);
      }
  });
  if (b < 0) return;
  for (Index o = 0; o < c; ++o)
    for (Index j = 0; j < d; ++j) {
      double total = 0;
      for (int part = 0; part < threads; ++part) total += sums[(part * c + o) * width + j];
      out(j, o) = total;
    }
}

RestrictedDesign::RestrictedDesign(const MaskedDesign& design, std::vector<Index> patterns)
    : design_(design), patterns_(std::move(patterns)) {
  const Index n = design.n_samples(), n_words = words_for(n), m = size();
  by_pattern_.resize(static_cast<std::size_t>(m * n_words));
  for (Index a = 0; a < m; ++a)
    std::copy_n(design.pattern(patterns_[static_cast<std::size_t>(a)]), n_words, by_pattern_.data() + a * n_words);
  by_sample_.resize(static_cast<std::size_t>((n + 7) / 8 * 8 * ((m + 7) / 8)));
  const int threads = n * m >= kParallelWork / 8 ? design.n_threads() : 1;
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
  AlignedArray<S> coefficients(std::max<Index>(m, 1) * c * width);
  std::fill_n(coefficients.data(), m * c * width, S(0));
  for (Index a = 0; a < m; ++a)
    for (Index o = 0; o < c; ++o)
      for (Index j = 0; j < d; ++j) coefficients[(a * c + o) * width + j] = static_cast<S>(W(o * d + j, a));
  const auto fill = [&](Index a, Index column, Index count, S* target) {
    std::copy_n(coefficients.data() + a * c * width + column, count, target);
  };
  constexpr Index kTile = 512;  // rows whose sums are held in cache between the tables and the dot product
  const int threads = m * n * c * width >= kParallelWork ? design_.n_threads() : 1;
  parallel_ranges(n, threads, kTile, [&](int, Index begin, Index end) {
    AlignedArray<S> sums(kTile * c * width);
    for (Index first = begin; first < end; first += kTile) {
      const Index count = std::min(kTile, end - first);
      std::fill_n(sums.data(), count * c * width, S(0));
      bit_product<S>({by_sample_.data() + first * stride, stride, count}, 0, m, c * width, fill, sums.data(),
                     c * width);
      for (Index k = 0; k < count; ++k) {
        const double* x = design_.rows()[first + k];
        for (Index o = 0; o < c; ++o) {
          const S* sum = sums.data() + (k * c + o) * width;
          typename Lanes::Vec dot{};
          for (Index j = 0; j < width; j += Lanes::lanes) {
            S xs[Lanes::lanes];
            for (Index i = 0; i < Lanes::lanes; ++i) xs[i] = static_cast<S>(x[j + i]);
            dot += Lanes::load(xs) * Lanes::load(sum + j);
          }
          out(first + k, o) = static_cast<double>(Lanes::sum(dot));
        }
      }
    }
  });
}

template void RestrictedDesign::correlations<float>(const MatrixView&, Eigen::Ref<Matrix>) const;
template void RestrictedDesign::correlations<double>(const MatrixView&, Eigen::Ref<Matrix>) const;
template void RestrictedDesign::fitted<float>(const MatrixView&, Eigen::Ref<Matrix>) const;
template void RestrictedDesign::fitted<double>(const MatrixView&, Eigen::Ref<Matrix>) const;

}  // namespace cvxrelu
