#include <array>
#include <cmath>

#include "cvxrelu/algebra/row_norms.hpp"
#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/base/simd.hpp"
#include "cvxrelu/kernels/kernel_tiles.hpp"
#include "cvxrelu/kernels/ntk.hpp"

namespace cvxrelu {

namespace {

/// asin(sqrt(z)) / sqrt(z) for 0 <= z <= 1/2, near-minimax; evaluated in doubles it is within 0.6 units of 2^-52.
constexpr std::array<double, 20> kAsin = {
    1.0,
    0.16666666666666963,
    0.07499999999921603,
    0.044642857225197834,
    0.030381939881673394,
    0.022372313172485805,
    0.017349310327158196,
    0.01401917204006966,
    0.01092934906491237,
    0.015091795028583365,
    -0.026316324552338826,
    0.1809574620911065,
    -0.6641236302549411,
    2.0016041109291547,
    -4.535791802822955,
    7.768165374555008,
    -9.669659398550623,
    8.32498352944691,
    -4.438816692066939,
    1.1264192878807509,
};

/// Rows scaled to length 1 (zero rows stay zero), and their lengths.
struct NormalizedRows {
  explicit NormalizedRows(const RowMatrixView& X) : rows(X.rows(), X.cols()), norms(row_norms(X)) {
    for (Index j = 0; j < X.rows(); ++j) {
      rows.row(j) = norms[j] > 0 ? (X.row(j) / norms[j]).eval() : X.row(j).eval();
    }
  }
  RowMatrix rows;
  Vector norms;
};

/// kAsin at z, from the coefficient k on. Unrolled by the compiler, so that loops over entries vectorise.
template <std::size_t k = 0>
inline double asin_series(double z) {
  if constexpr (k + 1 == kAsin.size())
    return kAsin[k];
  else
    return asin_series<k + 1>(z) * z + kAsin[k];
}

/// The angle in [0, pi/2] whose cosine is 1 - s.
inline double acute_angle(double s) { return 2 * std::sqrt(0.5 * s) * asin_series(0.5 * s); }

/// Turns a row of cosines into kernel values, given s = 1 - |cosine| and the norms of both sides.
void gated_row(Index size, double* values, const double* s, double norm, const double* norms) {
  for (Index j = 0; j < size; ++j) {
    const double cosine = values[j], t = acute_angle(s[j]), obtuse = kPi - t;
    values[j] = norm * norms[j] * cosine * (cosine >= 0 ? obtuse : t);
  }
}

/// The same with 1 - cosine in `s` after the first hidden layer, of which it becomes that of the next one:
/// 1 - k1 = ((pi - t)(1 - cos t) + t - sin t) / pi, a sum of non-negative terms, so that small angles keep their
/// digits.
inline double relu_layer(double t, double rest, double sine, double versine, double scale, double kernel,
                         double& next) {
  const double bulge = t - sine;
  next = (rest * versine + (bulge > 0 ? bulge : 0.0)) / kPi;
  return scale * (1 - next) + 0.5 / kPi * kernel * rest;
}

void relu_row(Index size, double* values, double* s, double norm, const double* norms, int depth) {
  double scale = 0.5 * norm;
  for (Index j = 0; j < size; ++j) {
    const double cosine = values[j], t = acute_angle(s[j]), obtuse = kPi - t, far = 2 - s[j],
                 sine = std::sqrt(s[j] * far);
    values[j] = relu_layer(cosine >= 0 ? t : obtuse, cosine >= 0 ? obtuse : t, sine, cosine >= 0 ? s[j] : far,
                           scale * norms[j], norm * norms[j] * cosine, s[j]);
  }
  for (int layer = 1; layer < depth; ++layer) {  // angles are acute from here on
    scale *= 0.5;
    for (Index j = 0; j < size; ++j) {
      const double t = acute_angle(s[j]), sine = std::sqrt(s[j] * (2 - s[j]));
      values[j] = relu_layer(t, kPi - t, sine, s[j], scale * norms[j], values[j], s[j]);
    }
  }
}

/// Where the cosine is so close to +-1 that s = 1 - |c| has lost digits, s comes from the difference of the unit rows.
constexpr double kNearlyParallel = 1.0 / 64;

void angles_of_nearly_parallel(const NormalizedRows& X, const NormalizedRows& Z, Index row, Index col, Index size,
                               double* c, double* s) {
  for (Index j = 0; j < size; ++j) {
    if (s[j] >= kNearlyParallel) continue;
    const auto a = Z.rows.row(row), b = X.rows.row(col + j);
    s[j] = 0.5 * (c[j] > 0 ? (a - b).squaredNorm() : (a + b).squaredNorm());
    c[j] = std::copysign(1 - s[j], c[j]);
  }
}

void ntk_tiles(const NormalizedRows& X, const NormalizedRows& Z, bool symmetric, NtkKind kind, int depth,
               RowMatrixOut out, int n_threads, Monitor& monitor) {
  require(depth >= 1, "depth must be at least 1");
  require(kind == NtkKind::relu || depth == 1, "gated kernels have depth 1");
  require(X.rows.cols() == Z.rows.cols(), "Z and X must have the same number of columns");
  require(out.rows() == Z.rows.rows() && out.cols() == X.rows.rows(), "out must be (rows of Z, rows of X)");
  constexpr Index kRows = 256, kCols = 128;  // a tile is 256 KiB, and stays in the second-level cache
  const double share = kind == NtkKind::gated ? 0.5 / kPi : kind == NtkKind::gated_both ? 1 / kPi : 1;
  const Vector norms = share * X.norms;
  const double work = static_cast<double>(X.rows.cols() + 20 * depth);

  detail::for_each_tile(
      out.rows(), out.cols(), symmetric, kRows, kCols, work, n_threads, monitor, [&](const detail::Tile& tile, int) {
        RowMatrix values(tile.rows, tile.cols);
        values.noalias() = Z.rows.middleRows(tile.row, tile.rows) * X.rows.middleRows(tile.col, tile.cols).transpose();
        alignas(64) double s[kCols];
        for (Index i = 0; i < tile.rows; ++i) {
          double* c = values.data() + i * tile.cols;
          Index nearly_parallel = 0;  // a sum, which compilers vectorise, as they do not a minimum
          for (Index j = 0; j < tile.cols; ++j) {
            s[j] = 1 - std::abs(c[j]);
            nearly_parallel += s[j] < kNearlyParallel;
          }
          if (nearly_parallel > 0) angles_of_nearly_parallel(X, Z, tile.row + i, tile.col, tile.cols, c, s);
          const double norm = Z.norms[tile.row + i];
          const double* lengths = norms.data() + tile.col;
          if (kind == NtkKind::relu)
            relu_row(tile.cols, c, s, norm, lengths, depth);
          else
            gated_row(tile.cols, c, s, norm, lengths);
        }
        if (symmetric)
          detail::write_symmetric(tile, values, out);
        else
          out.block(tile.row, tile.col, tile.rows, tile.cols) = values;
      });
}

}  // namespace

void ntk(const RowMatrixView& X, NtkKind kind, int depth, RowMatrixOut out, int n_threads, Monitor& monitor) {
  const NormalizedRows units(X);
  ntk_tiles(units, units, true, kind, depth, out, n_threads, monitor);
}

void ntk(const RowMatrixView& X, const RowMatrixView& Z, NtkKind kind, int depth, RowMatrixOut out, int n_threads,
         Monitor& monitor) {
  ntk_tiles(NormalizedRows(X), NormalizedRows(Z), false, kind, depth, out, n_threads, monitor);
}

}  // namespace cvxrelu
