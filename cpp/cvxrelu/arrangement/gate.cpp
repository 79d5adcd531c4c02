#include "cvxrelu/arrangement/gate.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>

#include "cvxrelu/algebra/lanes.hpp"
#include "cvxrelu/arrangement/node.hpp"
#include "cvxrelu/exact/predicates.hpp"
#include "cvxrelu/exact/wide_float.hpp"

namespace cvxrelu {

namespace {

/// Gauss-Jordan inverse with row pivoting; false when singular.
bool invert(std::vector<WideFloat>& a, std::vector<WideFloat>& inverse, int r) {
  const auto at = [r](int i, int k) { return static_cast<std::size_t>(i * r + k); };
  inverse.assign(static_cast<std::size_t>(r * r), 0);
  for (int i = 0; i < r; ++i) inverse[at(i, i)] = 1;
  for (int c = 0; c < r; ++c) {
    int pivot = c;
    for (int i = c + 1; i < r; ++i) {
      if (abs(a[at(pivot, c)]) < abs(a[at(i, c)])) pivot = i;
    }
    if (a[at(pivot, c)].is_zero()) return false;
    for (int k = 0; k < r; ++k) {
      std::swap(a[at(pivot, k)], a[at(c, k)]);
      std::swap(inverse[at(pivot, k)], inverse[at(c, k)]);
    }
    const WideFloat scale = WideFloat(1) / a[at(c, c)];
    for (int k = 0; k < r; ++k) {
      a[at(c, k)] *= scale;
      inverse[at(c, k)] *= scale;
    }
    for (int i = 0; i < r; ++i) {
      const WideFloat factor = a[at(i, c)];
      if (i == c || factor.is_zero()) continue;
      for (int k = 0; k < r; ++k) {
        a[at(i, k)] -= factor * a[at(c, k)];
        inverse[at(i, k)] -= factor * inverse[at(c, k)];
      }
    }
  }
  return true;
}

WideFloat wide_entry(const ArrangementRows& rows, int j, int c) {
  WideFloat entry = rows.scaled(j, c);
  for (Index k = c; k < rows.rest.cols(); k += rows.rank) entry += rows.rest(j, k);
  return entry;
}

constexpr int kManyRows = 256;  // from which on memory holds the products up, and half as long numbers are faster

bool bit(const Word* mask, int j) { return (mask[j / 64] >> (j % 64)) & 1; }

/// The power of two by which the quotient of a column and the last one, in scaled columns, differs from that of the
/// columns given.
int column_shift(const ArrangementRows& rows, int column) {
  return rows.column_exponent.back() - rows.column_exponent[static_cast<std::size_t>(column)];
}

}  // namespace

GateCheck::GateCheck(const ArrangementRows& rows, bool affine)
    : rows_(rows),
      affine_(affine),
      last_(rows.rank - 1),
      dot_bound_(dot_error_factor(rows.rank) * 1.002 + (rows.row_error + (affine ? 0x1p-53 : 0)) * 1.002 + 1e-300),
      unscaled_(static_cast<std::size_t>(rows.parts * rows.rank)) {
  const auto copy = [&rows](auto& lanes, auto& columns, Index width) {
    using S = typename std::remove_reference_t<decltype(lanes)>::Scalar;
    lanes.setZero((rows.n + width - 1) / width * width, rows.rank);
    lanes.topRows(rows.n) = rows.scaled.cast<S>();
    for (int k = 0; k < rows.rank; ++k) columns.push_back(lanes.col(k).data());
  };
  copy(lanes_, columns_, kLanes<double>);
  copy(single_lanes_, single_columns_, kLanes<float>);
  even_ = true;
  for (int c = 0; affine && c < last_; ++c) {
    const int shift = column_shift(rows, c);
    even_ = even_ && std::abs(shift) < 256;
    ratio_[static_cast<std::size_t>(c)] = std::ldexp(1.0, shift);
  }
}

bool GateCheck::inside(const double* gate, const Word* mask, double norm) {
  const double bound = dot_bound_ * norm;
  const bool even = divides_evenly(gate);
  if (even && rows_.n >= kManyRows) {
    // A sum of r products of rounded numbers is good to (r + 3) 2^-24 of the norms, and to what underflows; rounded
    // rows are within the two percent.
    std::array<float, ArrangementRows::kMaxRank> rounded;
    for (int k = 0; k < rows_.rank; ++k) rounded[static_cast<std::size_t>(k)] = static_cast<float>(gate[k]);
    const double single_bound = (rows_.rank + 3) * 0x1.02p-24 * norm + 1e-36;
    if (surely_inside(rounded.data(), single_columns_.data(), mask, single_bound)) return true;
  }
  if (even && surely_inside(gate, columns_.data(), mask, bound)) return true;
  const Vec<double> above = broadcast(bound), below = broadcast(-bound);
  const int size = static_cast<int>(lanes_.rows());
  for (int w = 0; 64 * w < size; ++w) {
    Word positive = 0, negative = 0;
    in_blocks<double>(64 * w, std::min(size, 64 * w + 64), [&](auto block, int j) {
      Vec<double> dot[block];
      combine<block>(columns_.data(), gate, rows_.rank, j, dot);
      for (int b = 0; b < block; ++b, j += kLanes<double>) {
        positive |= static_cast<Word>(less_bits(above, dot[b])) << (j % 64);
        negative |= static_cast<Word>(less_bits(dot[b], below)) << (j % 64);
      }
    });
    const Word all = rows_.all[static_cast<std::size_t>(w)];
    if ((positive & ~mask[w] & all) | (negative & mask[w] & all)) return false;
    for (Word open = even ? all & ~(positive | negative) : all; open != 0; open &= open - 1) {
      if (!exactly_inside(gate, mask, 64 * w + __builtin_ctzll(open))) return false;
    }
  }
  return true;
}

bool GateCheck::inside(const double* gate, const Word* mask, const NearRows& near) {
  if (!near.covers(gate) || !divides_evenly(gate)) return inside(gate, mask);
  if (!near.far_rows_agree(mask)) return false;
  const Vec<double> above = broadcast(dot_bound_), below = broadcast(-dot_bound_);
  for (int p = 0; p < near.size(); p += 64) {
    Word positive = 0, negative = 0;
    in_blocks<double>(p, padded(std::min(near.size(), p + 64), kLanes<double>), [&](auto block, int q) {
      Vec<double> dot[block];
      combine<block>(near.columns(), gate, rows_.rank, q, dot);
      for (int b = 0; b < block; ++b, q += kLanes<double>) {
        positive |= static_cast<Word>(less_bits(above, dot[b])) << (q % 64);
        negative |= static_cast<Word>(less_bits(dot[b], below)) << (q % 64);
      }
    });
    const Word sign = near.signs()[p / 64], all = ~Word{0} >> std::max(0, p + 64 - near.size());
    if ((positive & ~sign & all) | (negative & sign & all)) return false;
    for (Word open = all & ~(positive | negative); open != 0; open &= open - 1) {
      if (!exactly_inside(gate, mask, near.row(p + __builtin_ctzll(open)))) return false;
    }
  }
  return true;
}

template <class S>
bool GateCheck::surely_inside(const S* gate, const S* const* columns, const Word* mask, double bound) const {
  const int size = padded(rows_.n, kLanes<S>);
  Vec<S> least = broadcast(std::numeric_limits<S>::infinity());
  for (int w = 0; 64 * w < size; ++w) {
    const Word plus = mask[w], all = rows_.all[static_cast<std::size_t>(w)];
    in_blocks<S>(64 * w, std::min(size, 64 * w + 64), [&](auto block, int j) {
      Vec<S> dot[block];
      combine<block>(columns, gate, rows_.rank, j, dot);
      for (int b = 0; b < block; ++b, j += kLanes<S>) {
        const int shift = j % 64;
        least = minimum_signed<S>(least, dot[b], static_cast<std::uint32_t>(plus >> shift),
                                  static_cast<std::uint32_t>(all >> shift));
      }
    });
  }
  return static_cast<double>(smallest<S>(least)) > bound;
}

bool GateCheck::exactly_inside(const double* gate, const Word* mask, int row) {
  ++exact_signs;
  bool active = bit(mask, row);
  if (affine_ && gate[last_] < 0) active = !active;
  for (std::size_t c = 0; c < unscaled_.size(); ++c) {
    const std::size_t k = c % rows_.column_exponent.size();
    unscaled_[c] = affine_ ? quotient(gate, static_cast<int>(k)) : std::ldexp(gate[k], -rows_.column_exponent[k]);
    if (!std::isfinite(unscaled_[c])) return false;
  }
  const auto length = static_cast<Index>(unscaled_.size());
  return exact_dot_sign(rows_.original.row(row).data(), unscaled_.data(), length) == (active ? 1 : -1);
}

bool GateCheck::divides_evenly(const double* gate) const {
  if (!affine_) return true;
  const Vec<double> least = broadcast(0x1p-400), most = broadcast(0x1p100), zero{};
  std::uint32_t outside = 0;
  for (int c = 0; c < rows_.rank; c += kLanes<double>) {
    const Vec<double> size = absolute<double>(load(gate + c));
    outside |= (less_bits(zero, size) & less_bits(size, least)) | (~less_bits(size, most) & kAllLanes<double>);
  }
  return even_ && outside == 0 && gate[last_] != 0;
}

double GateCheck::quotient(const double* gate, int column) const {
  int up = 0, down = 0;
  const double ratio = std::frexp(gate[column], &up) / std::frexp(gate[last_], &down);
  return std::ldexp(ratio, up - down + column_shift(rows_, column));
}

void GateCheck::write_point(const double* gate, double* point) const {
  std::array<double, ArrangementRows::kMaxRank + 2> quotients;
  if (divides_evenly(gate)) {
    const Vec<double> t = broadcast(gate[last_]);
    for (int c = 0; c < last_; c += kLanes<double>)
      store(quotients.data() + c, load(gate + c) / t * load(ratio_.data() + c));
  } else {
    bool finite = true;
    for (int c = 0; c < last_; ++c) {
      quotients[static_cast<std::size_t>(c)] = quotient(gate, c);
      finite = finite && std::isfinite(quotients[static_cast<std::size_t>(c)]);
    }
    if (!finite) quotients.fill(0);
  }
  if (rows_.rank < rows_.n_features) std::fill_n(point, rows_.n_features - 1, 0.0);
  for (int c = 0; c < last_; ++c)
    point[rows_.columns[static_cast<std::size_t>(c)]] = quotients[static_cast<std::size_t>(c)];
}

bool GateCheck::repair(const RayCell& cell, const Word* mask, double* gate) {
  const std::vector<int>& members = cell.members;
  const int r = rows_.rank, n = rows_.n, k = static_cast<int>(members.size());
  std::vector<WideFloat> a(static_cast<std::size_t>(r * r)), inverse;
  for (int i = 0; i < r; ++i) {
    for (int c = 0; c < r; ++c) {
      a[static_cast<std::size_t>(i * r + c)] =
          i < k ? wide_entry(rows_, members[static_cast<std::size_t>(i)], c) : WideFloat(rows_.flag(i - k, c));
    }
  }
  if (!invert(a, inverse, r)) return false;
  // Directions in the order in which they dominate: the ray, then the dual vectors from the smallest row up.
  std::vector<int> directions = {k + cell.level};
  for (int l = k - 1; l >= 0; --l) directions.push_back(l);
  std::vector<std::vector<WideFloat>> values;
  for (const int q : directions) {
    std::vector<WideFloat> value(static_cast<std::size_t>(n));
    for (int j = 0; j < n; ++j) {
      for (int c = 0; c < r; ++c) {
        value[static_cast<std::size_t>(j)] += wide_entry(rows_, j, c) * inverse[static_cast<std::size_t>(c * r + q)];
      }
    }
    int decisive = q < k ? members[static_cast<std::size_t>(q)] : -1;
    for (int j = 0; j < n && q >= k; ++j) {
      const auto at = static_cast<std::size_t>(j);
      if (cell.stage[at] != 0 || !bit(rows_.all.data(), j)) continue;
      if (decisive < 0 || abs(value[static_cast<std::size_t>(decisive)]) < abs(value[at])) decisive = j;
    }
    if (decisive < 0) return false;
    if ((value[static_cast<std::size_t>(decisive)].sign() > 0) != bit(mask, decisive)) {
      for (WideFloat& x : value) x = -x;
      for (int c = 0; c < r; ++c) {
        WideFloat& x = inverse[static_cast<std::size_t>(c * r + q)];
        x = -x;
      }
    }
    values.push_back(std::move(value));
  }

  constexpr int kPoints = 8, kScales = 32;
  std::mt19937_64 random(1);
  const auto uniform = [&random] { return std::ldexp(static_cast<double>(random() >> 11), -53); };
  for (int trial = 0; trial < kPoints; ++trial) {
    std::vector<WideFloat> value(static_cast<std::size_t>(n)), point(static_cast<std::size_t>(r));
    for (std::size_t q = 0; q < directions.size(); ++q) {
      // As far as the farthest row that is decided already, at most, and not up to the nearest.
      WideFloat reach = 0, size = 0, nearest = 0;
      bool facing = false;
      for (int j = 0; j < n && q > 0; ++j) {
        const auto at = static_cast<std::size_t>(j);
        const WideFloat x = value[at], y = values[q][at];
        size = std::max(size, abs(y));
        if (cell.stage[at] >= static_cast<int>(q) || !bit(rows_.all.data(), j)) continue;
        reach = std::max(reach, abs(x));
        if (y.is_zero() || (x.sign() > 0) == (y.sign() > 0)) continue;
        nearest = facing ? std::min(nearest, abs(x / y)) : abs(x / y);
        facing = true;
      }
      WideFloat step = 1;
      if (q > 0) step = WideFloat(0.05 + 0.9 * uniform()) * (facing ? std::min(nearest, reach / size) : reach / size);
      for (int j = 0; j < n; ++j) value[static_cast<std::size_t>(j)] += step * values[q][static_cast<std::size_t>(j)];
      for (int c = 0; c < r; ++c) {
        point[static_cast<std::size_t>(c)] += step * inverse[static_cast<std::size_t>(c * r + directions[q])];
      }
    }
    WideFloat largest = 0;
    for (const WideFloat& x : point) largest = std::max(largest, abs(x));
    if (largest.is_zero()) return false;
    for (int again = 0; again < kScales; ++again) {
      // Another multiple rounds to another direction.
      const WideFloat scale = WideFloat(0.5 + 0.5 * uniform()) / largest;
      double norm = 0;
      for (int c = 0; c < r; ++c) {
        gate[c] = static_cast<double>(scale * point[static_cast<std::size_t>(c)]);
        norm += std::abs(gate[c]);
      }
      if (norm <= r && inside(gate, mask, norm)) return true;  // not NaN either
    }
  }
  return false;
}

}  // namespace cvxrelu
