#include "cvxrelu/arrangement/near.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace cvxrelu {

NearRows::NearRows(const ArrangementRows& rows) : rows_(rows), center_(static_cast<std::size_t>(rows.rank)) {
  const Index wide = (rows.n + kLanes<float> - 1) / kLanes<float> * kLanes<float>;
  units_.setZero(wide, rows.rank);
  for (int j = 0; j < rows.n; ++j) {
    const double norm = rows.scaled.row(j).norm();
    if (norm > 0) units_.row(j) = (rows.scaled.row(j) / norm).cast<float>();
  }
  lanes_.setZero(wide, rows.rank);
  for (int c = 0; c < rows.rank; ++c) {
    unit_columns_.push_back(units_.col(c).data());
    columns_.push_back(lanes_.col(c).data());
  }
  const std::size_t words = rows.all.size();
  for (auto* mask : {&near_, &far_, &sides_, &signs_, &chosen_, &allowed_}) mask->assign(words, 0);
  before_.assign(words, 0);
}

void NearRows::gather(const double* center, double radius, const Word* mask, const Word* chosen) {
  const int r = rows_.rank;
  std::array<float, ArrangementRows::kMaxRank> rounded;
  for (int c = 0; c < r; ++c) {
    center_[static_cast<std::size_t>(c)] = center[c];
    rounded[static_cast<std::size_t>(c)] = static_cast<float>(center[c]);
  }
  square_ = radius * radius * (1 - 1e-9);
  // A sum of r products of rounded numbers, of vectors of norm one, is good to (r + 3) 2^-24.
  const auto bound = static_cast<float>(1.001 * (radius + (r + 4) * 0x1p-24));
  const Vec<float> above = broadcast(bound), below = broadcast(-bound);
  const int wide = static_cast<int>(units_.rows());
  rows_near_.clear();
  for (int w = 0; 64 * w < wide; ++w) {
    Word positive = 0, negative = 0;
    in_blocks<float>(64 * w, std::min(wide, 64 * w + 64), [&](auto block, int j) {
      Vec<float> dot[block];
      combine<block>(unit_columns_.data(), rounded.data(), r, j, dot);
      for (int b = 0; b < block; ++b, j += kLanes<float>) {
        positive |= static_cast<Word>(less_bits(above, dot[b])) << (j % 64);
        negative |= static_cast<Word>(less_bits(dot[b], below)) << (j % 64);
      }
    });
    const auto at = static_cast<std::size_t>(w);
    far_[at] = (positive | negative) & rows_.all[at];
    sides_[at] = positive & far_[at];
    near_[at] = rows_.all[at] & ~far_[at];
    before_[at] = size();
    for (Word rest = near_[at]; rest != 0; rest &= rest - 1) rows_near_.push_back(64 * w + __builtin_ctzll(rest));
  }
  const int count = size(), end = (count + kLanes<double> - 1) / kLanes<double> * kLanes<double>;
  std::fill_n(signs_.begin(), (count + 63) / 64, 0);
  std::fill_n(chosen_.begin(), (count + 63) / 64, 0);
  for (int p = 0; p < count; ++p) {
    const int j = row(p);
    const auto to = static_cast<std::size_t>(p / 64), from = static_cast<std::size_t>(j / 64);
    signs_[to] |= ((mask[from] >> (j % 64)) & 1) << (p % 64);
    chosen_[to] |= ((chosen[from] >> (j % 64)) & 1) << (p % 64);
    const double* x = rows_.scaled.data() + static_cast<Index>(j) * r;
    for (int c = 0; c < r; ++c) lanes_(p, c) = x[c];
  }
  for (int c = 0; c < r; ++c) {
    for (int p = count; p < end; ++p) lanes_(p, c) = 0;
  }
}

int NearRows::position(int row) const {
  const auto w = static_cast<std::size_t>(row / 64);
  return before_[w] + __builtin_popcountll(near_[w] & ((Word{1} << (row % 64)) - 1));
}

void NearRows::turn(int w, Word bits) {
  for (bits &= near_[static_cast<std::size_t>(w)]; bits != 0; bits &= bits - 1) {
    const int p = position(64 * w + __builtin_ctzll(bits));
    signs_[static_cast<std::size_t>(p / 64)] ^= Word{1} << (p % 64);
  }
}

double NearRows::reach(const double* from, const double* direction, const int* except, int n_except) {
  const int count = size();
  std::copy_n(chosen_.begin(), (count + 63) / 64, allowed_.begin());
  for (int m = 0; m < n_except; ++m) {
    const int j = except[m];
    if (!((near_[static_cast<std::size_t>(j / 64)] >> (j % 64)) & 1)) continue;
    const int p = position(j);
    allowed_[static_cast<std::size_t>(p / 64)] &= ~(Word{1} << (p % 64));
  }
  Vec<double> least = broadcast(std::numeric_limits<double>::max());
  const Vec<double> zero{};
  in_blocks<double>(0, (count + kLanes<double> - 1) / kLanes<double> * kLanes<double>, [&](auto block, int p) {
    Vec<double> value[block], change[block];
    combine<block>(columns_.data(), from, rows_.rank, p, value);
    combine<block>(columns_.data(), direction, rows_.rank, p, change);
    for (int b = 0; b < block; ++b, p += kLanes<double>) {
      const Word allowed = allowed_[static_cast<std::size_t>(p / 64)] >> (p % 64);
      const auto facing = less_bits(value[b] * change[b], zero) & static_cast<std::uint32_t>(allowed);
      least = minimum_ratio<double>(least, value[b], change[b], facing);
    }
  });
  return smallest<double>(least);
}

bool NearRows::covers(const double* point) const {
  double square = 0;
  for (int c = 0; c < rows_.rank; ++c) {
    const double difference = point[c] - center_[static_cast<std::size_t>(c)];
    square += difference * difference;
  }
  return square <= square_;
}

bool NearRows::far_rows_agree(const Word* mask) const {
  Word wrong = 0;
  for (std::size_t w = 0; w < far_.size(); ++w) wrong |= (mask[w] ^ sides_[w]) & far_[w];
  return wrong == 0;
}

}  // namespace cvxrelu
