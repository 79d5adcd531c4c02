#include <vector>

#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/kernels/kernel_tiles.hpp"
#include "cvxrelu/kernels/masking_kernel.hpp"
#include "cvxrelu/masks/bit_product.hpp"
#include "cvxrelu/masks/bits.hpp"

namespace cvxrelu {

namespace {

/// The patterns of positive weight.
std::vector<Index> support(const VectorView& weights) {
  std::vector<Index> kept;
  for (Index i = 0; i < weights.size(); ++i)
    if (weights[i] > 0) kept.push_back(i);
  return kept;
}

/// Chosen rows of packed patterns, one row of bits for each sample.
class SampleBits {
 public:
  SampleBits(const WordMatrixView& words, Index n, const std::vector<Index>& patterns) {
    std::vector<Word> chosen;
    chosen.reserve(patterns.size() * static_cast<std::size_t>(words.cols()));
    for (const Index i : patterns) chosen.insert(chosen.end(), words.row(i).data(), words.row(i).data() + words.cols());
    const Index p = static_cast<Index>(patterns.size());
    stride_ = (p + 7) / 8;
    bytes_.resize(static_cast<std::size_t>((n + 7) / 8 * 8 * stride_));
    const BitRows by_pattern{reinterpret_cast<const std::uint8_t*>(chosen.data()), words.cols() * 8, p};
    transpose_bits(by_pattern, 0, (n + 7) / 8, bytes_.data());
  }
  BitRows rows(Index first, Index count) const { return {bytes_.data() + first * stride_, stride_, count}; }

 private:
  std::vector<std::uint8_t> bytes_;
  Index stride_;
};

/// tile = M_Z diag(weights) M_X' for rows given by their bits and 16 columns from `col` on.
constexpr Index kSlab = 16;

void masked_weights(BitRows rows, const WordMatrixView& words, const std::vector<Index>& patterns,
                    const VectorView& weights, Index col, double* tile) {
  const Index word = col / 64, shift = col % 64;
  const auto fill = [&](Index k, Index column, Index count, double* target) {
    const Index i = patterns[static_cast<std::size_t>(k)];
    const Word bits = words(i, word) >> (shift + column);
    const double weight = weights[i];
    for (Index j = 0; j < count; ++j) target[j] = (bits >> j & 1) ? weight : 0.0;
  };
  std::fill_n(tile, rows.rows * kSlab, 0.0);
  bit_product<double>(rows, 0, static_cast<Index>(patterns.size()), kSlab, fill, tile, kSlab);
}

void masking_tiles(const RowMatrixView& X, const WordMatrixView& words, const RowMatrixView& Z,
                   const WordMatrixView& z_words, bool symmetric, const VectorView& weights, RowMatrixOut out,
                   int n_threads, Monitor& monitor) {
  require(X.cols() == Z.cols(), "Z and X must have the same number of columns");
  require(words.rows() == weights.size() && z_words.rows() == weights.size(), "one weight per pattern is needed");
  require(words.cols() == words_for(X.rows()) && z_words.cols() == words_for(Z.rows()),
          "words must be (n_patterns, ceil(n_samples / 64))");
  require(out.rows() == Z.rows() && out.cols() == X.rows(), "out must be (rows of Z, rows of X)");

  const std::vector<Index> patterns = support(weights);
  const SampleBits bits(z_words, Z.rows(), patterns);
  constexpr Index kCols = 64, kMostRows = 2048;
  // Tall tiles share the work of a slab's tables; some 10 ms each, so that an interrupt is seen soon.
  const Index rows = std::clamp<Index>(8'000'000 / std::max<Index>(weights.size(), 1), 64, kMostRows);
  const double work = static_cast<double>(X.cols()) + static_cast<double>(patterns.size()) / 4;
  static_assert(64 % kSlab == 0 && kCols % kSlab == 0, "a slab of columns lies within one word");

  detail::for_each_tile(
      out.rows(), out.cols(), symmetric, rows, kCols, work, n_threads, monitor, [&](const detail::Tile& tile, int) {
        RowMatrix values(tile.rows, tile.cols);
        values.noalias() = Z.middleRows(tile.row, tile.rows) * X.middleRows(tile.col, tile.cols).transpose();
        AlignedArray<double> slab(tile.rows * kSlab);
        for (Index first = 0; first < tile.cols; first += kSlab) {
          const Index count = std::min(kSlab, tile.cols - first);
          masked_weights(bits.rows(tile.row, tile.rows), words, patterns, weights, tile.col + first, slab.data());
          for (Index i = 0; i < tile.rows; ++i)
            for (Index j = 0; j < count; ++j) values(i, first + j) *= slab[i * kSlab + j];
        }
        if (symmetric)
          detail::write_symmetric(tile, values, out);
        else
          out.block(tile.row, tile.col, tile.rows, tile.cols) = values;
      });
}

}  // namespace

void masking_kernel(const RowMatrixView& X, const WordMatrixView& words, const VectorView& weights, RowMatrixOut out,
                    int n_threads, Monitor& monitor) {
  masking_tiles(X, words, X, words, true, weights, out, n_threads, monitor);
}

void masking_kernel(const RowMatrixView& X, const WordMatrixView& words, const RowMatrixView& Z,
                    const WordMatrixView& z_words, const VectorView& weights, RowMatrixOut out, int n_threads,
                    Monitor& monitor) {
  masking_tiles(X, words, Z, z_words, false, weights, out, n_threads, monitor);
}

}  // namespace cvxrelu
