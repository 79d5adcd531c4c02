#include "cvxrelu/masks/bits.hpp"

#include <algorithm>
#include <limits>

#include "cvxrelu/algebra/row_norms.hpp"
#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/base/parallel.hpp"
#include "cvxrelu/exact/predicates.hpp"

namespace cvxrelu {

void pack_patterns(const RowMatrixView& X, const RowMatrixView& gates, Eigen::Ref<WordMatrix> words,
                   Eigen::Ref<Vector> margin, int n_threads, Monitor& monitor) {
  const Index n = X.rows(), p = gates.rows(), d = X.cols();
  require(gates.cols() == d, "gates and X must have the same number of columns");
  require(words.rows() == p && words.cols() == words_for(n), "words must be (n_gates, ceil(n_samples / 64))");
  require(margin.size() == p, "margin must have one entry per gate");

  const Vector sample_norm = row_norms(X);
  const double factor = dot_error_factor(d);
  const double tiny = static_cast<double>(d) * std::numeric_limits<double>::min();  // products that underflow

  constexpr Index kGates = 64;        // gates a tile: the tile of dot products stays in the first-level cache
  constexpr double kPiece = 1 << 24;  // multiply-adds of one thread between two looks at the monitor
  const auto pack_rows = [&](Index row_words, Index first_word, Index begin, Index end) {
    RowMatrix dots(64, kGates);
    for (Index first = begin; first < end; first += kGates) {
      const Index m = std::min(kGates, end - first);
      const Vector gate_norm = row_norms(gates.middleRows(first, m));
      for (Index w = first_word; w < first_word + row_words; ++w) {
        const Index rows = std::min<Index>(64, n - 64 * w);
        dots.topLeftCorner(rows, m).noalias() = X.middleRows(64 * w, rows) * gates.middleRows(first, m).transpose();
        for (Index i = 0; i < m; ++i) {
          Word word = 0;
          for (Index j = 0; j < rows; ++j) {
            const Index sample = 64 * w + j;
            const double dot = dots(j, i), scale = sample_norm[sample] * gate_norm[i];
            bool active = dot >= 0;
            // Written so that NaN and infinity, which overflow brings, count as undecided.
            if (!(std::abs(dot) > factor * scale + tiny && std::abs(dot) <= std::numeric_limits<double>::max())) {
              active = exact_dot_sign(X.row(sample).data(), gates.row(first + i).data(), d) >= 0;
              if (sample_norm[sample] > 0) margin[first + i] = 0;
            } else {
              margin[first + i] = std::min(margin[first + i], std::abs(dot) / scale);
            }
            word |= static_cast<Word>(active) << j;
          }
          words(first + i, w) = word;
        }
      }
    }
  };

  // Pieces of some gates on all samples, or where those are too many of a tile of gates for each thread on some.
  margin.setConstant(std::numeric_limits<double>::infinity());
  const int threads = std::max(n_threads, 1);
  const double work = static_cast<double>(std::max<Index>(d, 1)) * 64;  // of a word
  const Index some_words = std::clamp<Index>(static_cast<Index>(kPiece / (work * kGates)), 1, words.cols());
  const Index tiles =
      std::max<Index>(1, static_cast<Index>(kPiece / (work * kGates * static_cast<double>(some_words))));
  const Index piece = tiles * kGates * threads;
  for (Index begin = 0; begin < p; begin += piece) {
    for (Index w = 0; w < words.cols(); w += some_words) {
      parallel_ranges(std::min(piece, p - begin), threads, 1, [&](int, Index from, Index to) {
        pack_rows(std::min(some_words, words.cols() - w), w, begin + from, begin + to);
      });
      monitor.poll();
    }
  }
}

}  // namespace cvxrelu
