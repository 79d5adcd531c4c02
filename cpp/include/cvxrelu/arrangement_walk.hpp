// The last level of the search where there are many rows: a walk along the line that the two null columns span.
//
// Row j meets the line e1, e2 at the ray v_j = e1_j e2 - e2_j e1, which is the direction (e1_j, e2_j) turned by a right
// angle. Sorted by their angles, from one of the rays through half a turn, the rays are met one after the other, and
// only the rows that vanish at a ray change their signs there. With every row signed so that its direction lies in that
// half turn, the cell of the ray is on the side before it, for the rows that vanish there, if omega < 0, and else on
// the side behind.
//
// The order is certain: it is sorted by rounded angles, but checked between neighbours by the bounds that decide all
// signs, and where these leave anything open it is sorted by exact comparisons. O(n) for a line, O(n log n) at worst,
// and for each cell the n / 64 words of its mask.
#pragma once

#include <algorithm>
#include <type_traits>
#include <vector>

#include "cvxrelu/arrangement_output.hpp"
#include "cvxrelu/spread_sort.hpp"

namespace cvxrelu {

template <Arithmetic kArithmetic>
class LineWalk : public CellWriter<kArithmetic> {
  using Base = CellWriter<kArithmetic>;

 protected:
  using Base::counts, Base::pulse_, Base::rows_, Base::n_, Base::r_, Base::words_, Base::nodes_, Base::path_;
  using Base::in_span, Base::same_side, Base::exact_row_sign, Base::exact_lambda_sign;
  using Base::outside_, Base::dependent_, Base::cell_, Base::lowest_, Base::turning_, Base::output_, Base::first_pair_;
  using Base::split_span, Base::store_masks;
  using typename Base::S;

  LineWalk(const ArrangementRows& rows, const SearchSettings& settings, Pulse& pulse) : Base(rows, settings, pulse) {
    for (Words* mask : {&forward_, &near_, &first_, &open_}) mask->assign(static_cast<std::size_t>(words_ + 1), 0);
    lambda_.assign(static_cast<std::size_t>(r_), Words(static_cast<std::size_t>(words_ + 1), 0));
    keys_.assign(static_cast<std::size_t>(padded(n_, kLanes<double>)), 0);
    slots_.assign(static_cast<std::size_t>(words_), 0);
  }

  /// All cells whose set is that of node k and one more element below `end`. The sign of omega must be certain.
  template <class L, Compare kKind>
  void walk(const LeafView<L>& view, int k, int end) {
    pulse_.beat(counts.pairs, 1 + static_cast<unsigned>(n_) / 256);
    orientation_ = 0;
    split_span(k);
    span_words_.clear();
    for (int w = 0; w < words_; ++w) {
      if (nodes_[static_cast<std::size_t>(k)].closure[static_cast<std::size_t>(w)] != 0) span_words_.push_back(w);
    }
    if (!sort_rays<L, kKind>(view, k)) return;
    const std::int64_t first = counts.pairs - first_pair_;
    const std::int64_t found = number_cells(end);
    counts.pairs += found;
    if (output_.words == nullptr || found == 0) return;
    sort_lambda(view, end);
    for (int w = 0; w < words_; ++w) {
      const auto at = static_cast<std::size_t>(w);
      cell_[at] = forward_[at] & outside_[at];
    }
    const bool before = view.omega < 0;
    const int count = static_cast<int>(order_.size());
    unsigned written = 0;
    for (int begin = 0, next = 0; begin < count; begin = next) {
      next = end_of_ray(begin);
      const int i = smallest_row(begin, next);
      if (!before) pass(begin, next);
      if (get_bit(first_.data(), i)) {
        if (++written % 16 == 0) pulse_.beat(counts.pairs, 1 + static_cast<unsigned>(words_) / 16);
        sign_span(view, k, i);
        const auto w = static_cast<std::size_t>(i / 64);
        const Word smaller = (Word{1} << (i % 64)) - 1;
        const std::int64_t slot = slots_[w] + __builtin_popcountll(first_[w] & smaller);
        store_masks(first + slot, words_);
      }
      if (before) pass(begin, next);
    }
  }

 private:
  // ---- the order of the rays ----

  /// Writes `order_`, `joined_` and `forward_`, the rows that count with their own sign; false without any rows.
  template <class L, Compare kKind>
  bool sort_rays(const LeafView<L>& view, int k) {
    const int start = longest_row(view);
    if (start < 0) return false;
    const double a = view.e1[start], b = view.e2[start];
    const auto limit = static_cast<L>(limit_at<L, kKind>(view, start));
    scan_rows<L, kKind, false>(view, view.e1[start], view.e2[start], limit, padded(n_, kLanes<L>), forward_.data(),
                               near_.data(), nullptr);
    write_keys(view, a, b);
    set_bit(forward_.data(), start, true);
    keys_[static_cast<std::size_t>(start)] = static_cast<std::uint64_t>(start);  // angle zero
    for (int w = 0; w < words_; ++w) {
      for (Word rest = near_[static_cast<std::size_t>(w)] & outside_[static_cast<std::size_t>(w)]; rest != 0;
           rest &= rest - 1) {
        const int j = 64 * w + __builtin_ctzll(rest);
        if (j != start) place_near_start<L, kKind>(view, k, start, j);
      }
    }
    sorted_.clear();
    for (int j = 0; j < n_; ++j) {
      if (get_bit(outside_.data(), j)) sorted_.push_back(keys_[static_cast<std::size_t>(j)]);
    }
    sort_.sort(sorted_);
    order_.resize(sorted_.size());
    for (std::size_t t = 0; t < sorted_.size(); ++t) order_[t] = static_cast<int>(sorted_[t] & kRowMask);
    check_order<L, kKind>(view, k);
    return true;
  }

  /// A row that is about as long as any on the line.
  template <class L>
  int longest_row(const LeafView<L>& view) const {
    int best = -1;
    double longest = -1;
    for (int j = 0; j < n_ && !(longest > 0.125 * view.norm); ++j) {
      const double length = std::max(std::abs(view.e1[j]), std::abs(view.e2[j]));
      if (!get_bit(outside_.data(), j) || !(length > longest)) continue;
      longest = length;
      best = j;
    }
    return best;
  }

  /// Keys that grow with the angle from direction (a, b), modulo half a turn, and end in the row.
  template <class L>
  void write_keys(const LeafView<L>& view, double a, double b) {
    using Bits = typename LaneBits<double>::type;
    const int size = padded(n_, kLanes<double>);
    const Vec<double> A = broadcast(a), B = broadcast(b), zero{};
    Bits row{};
    for (int j = 0; j < kLanes<double>; ++j) row[j] = j;
    for (int j = 0; j < size; j += kLanes<double>, row += kLanes<double>) {
      const Vec<double> x = load_double(view.e1 + j), y = load_double(view.e2 + j);
      const Vec<double> across = A * y - B * x, along = A * x + B * y;
      const Vec<double> turned = across < zero ? -along : along;
      const Vec<double> angle = broadcast(1.0) - turned / (absolute<double>(along) + absolute<double>(across));
      const Vec<double> fixed = angle * broadcast(kKeyScale) + broadcast(0x1p52);
      Bits key;
      std::memcpy(&key, &fixed, sizeof key);
      key = ((key & kKeyMask) << kRowBits) | row;
      std::memcpy(keys_.data() + j, &key, sizeof key);
    }
  }

  /// Row j, which vanishes at the first ray or nearly so.
  template <class L, Compare kKind>
  void place_near_start(const LeafView<L>& view, int k, int start, int j) {
    const double along = static_cast<double>(view.e1[start]) * static_cast<double>(view.e1[j]) +
                         static_cast<double>(view.e2[start]) * static_cast<double>(view.e2[j]);
    const int sign = turn<L, kKind>(view, k, start, j);
    bool forward = sign > 0;
    std::uint64_t key = 0;
    if (sign == 0) {
      forward = kKind == Compare::kBounded ? same_side(k, start, j) : along > 0;
    } else if (forward != (along > 0)) {
      key = static_cast<std::uint64_t>(2 * kKeyScale);
    }
    set_bit(forward_.data(), j, forward);
    keys_[static_cast<std::size_t>(j)] = (key << kRowBits) | static_cast<std::uint64_t>(j);
  }

  /// Makes the order exact, and finds the rows that share their rays with the next one.
  template <class L, Compare kKind>
  void check_order(const LeafView<L>& view, int k) {
    const int count = static_cast<int>(order_.size());
    const auto padded_count = static_cast<std::size_t>(padded(count, kLanes<double>) + kLanes<double>);
    for (std::vector<double>* line : {&first_column_, &second_column_}) line->resize(padded_count);
    for (int t = 0; t < count; ++t) {
      const int j = order_[static_cast<std::size_t>(t)];
      const double sign = kSigns[get_bit(forward_.data(), j)];
      first_column_[static_cast<std::size_t>(t)] = sign * static_cast<double>(view.e1[j]);
      second_column_[static_cast<std::size_t>(t)] = sign * static_cast<double>(view.e2[j]);
    }
    joined_.assign(static_cast<std::size_t>(count / 64 + 2), 0);
    bool sorted = true;
    for (int t = 0; t + 1 < count; t += kLanes<double>) {
      const double *x = first_column_.data() + t, *y = second_column_.data() + t;
      const Vec<double> turns = ray_values<double, kKind>(load(x), load(y), load(x + 1), load(y + 1));
      Vec<double> limit = broadcast(0.5);
      if constexpr (kKind == Compare::kBounded) limit = view.limits(load(x), load(y));
      std::uint32_t doubtful = ~less_bits(limit, turns) & kAllLanes<double>;
      if (count - 1 - t < kLanes<double>) doubtful &= (std::uint32_t{1} << (count - 1 - t)) - 1;
      for (; doubtful != 0; doubtful &= doubtful - 1) {
        const int at = t + __builtin_ctz(doubtful);
        const int sign = oriented_turn<L, kKind>(view, k, order_[static_cast<std::size_t>(at)],
                                                 order_[static_cast<std::size_t>(at + 1)]);
        if (sign == 0) set_bit(joined_.data(), at, true);
        sorted = sorted && sign >= 0;
      }
    }
    if (sorted) return;
    std::stable_sort(order_.begin(), order_.end(),
                     [&](int i, int j) { return oriented_turn<L, kKind>(view, k, i, j) > 0; });
    check_order<L, kKind>(view, k);
  }

  template <class L, Compare kKind>
  double limit_at(const LeafView<L>& view, int i) const {
    if constexpr (kKind == Compare::kBounded) {
      return view.limits(broadcast<double>(view.e1[i]), broadcast<double>(view.e2[i]))[0];
    } else {
      return 0.5;
    }
  }

  /// Sign of row j at the ray of row i.
  template <class L, Compare kKind>
  int turn(const LeafView<L>& view, int k, int i, int j) {
    if constexpr (kKind == Compare::kBounded) {
      const double value = static_cast<double>(view.e1[i]) * static_cast<double>(view.e2[j]) -
                           static_cast<double>(view.e2[i]) * static_cast<double>(view.e1[j]);
      if (std::abs(value) > limit_at<L, kKind>(view, i)) return value > 0 ? 1 : -1;
      if (in_span(k, i, j)) return 0;
      return orientation(view, k) * exact_row_sign(k, view.level, i, j);
    } else {
      using Wide = __int128;
      const auto at = [](const L* column, int row) { return Wide(static_cast<std::int64_t>(column[row])); };
      const Wide left = at(view.e1, i) * at(view.e2, j), right = at(view.e2, i) * at(view.e1, j);
      return left > right ? 1 : left < right ? -1 : 0;
    }
  }

  template <class L, Compare kKind>
  int oriented_turn(const LeafView<L>& view, int k, int i, int j) {
    const bool same = get_bit(forward_.data(), i) == get_bit(forward_.data(), j);
    return turn<L, kKind>(view, k, i, j) * (same ? 1 : -1);
  }

  /// How the rays of this line are oriented against their determinants.
  template <class L>
  int orientation(const LeafView<L>& view, int k) {
    if (orientation_ == 0) {
      const int exact = exact_lambda_sign(k, view.level, 0, k);
      orientation_ = view.omega < 0 ? exact : -exact;
    }
    return orientation_;
  }

  // ---- the cells ----

  /// First of the rows that share a ray with the row at `begin`, and behind the last of them.
  int end_of_ray(int begin) const {
    while (get_bit(joined_.data(), begin)) ++begin;
    return begin + 1;
  }
  int smallest_row(int begin, int end) const { return *std::min_element(order_.begin() + begin, order_.begin() + end); }

  /// Finds the rows that have a cell, the smallest at their rays if below `end`, and returns how many there are.
  std::int64_t number_cells(int end) {
    for (int w = 0; w < words_; ++w) {
      const int below = std::clamp(end - 64 * w, 0, 64);
      const auto at = static_cast<std::size_t>(w);
      first_[at] = below == 0 ? 0 : outside_[at] & (~Word{0} >> (64 - below));
    }
    const int count = static_cast<int>(order_.size());
    for (int t = 0, next = 0; t < count; t = next) {
      next = end_of_ray(t);
      if (next == t + 1) continue;
      const int smallest = smallest_row(t, next);
      for (int m = t; m < next; ++m) {
        const int j = order_[static_cast<std::size_t>(m)];
        if (j != smallest) set_bit(first_.data(), j, false);
      }
    }
    std::int64_t total = 0;
    for (int w = 0; w < words_; ++w) {
      slots_[static_cast<std::size_t>(w)] = total;
      total += __builtin_popcountll(first_[static_cast<std::size_t>(w)]);
    }
    return total;
  }

  template <class L>
  void sort_lambda(const LeafView<L>& view, int end) {
    std::array<std::uint32_t, ArrangementRows::kMaxRank> positive;
    for (int l = 0; l < view.size; ++l) std::fill_n(lambda_[static_cast<std::size_t>(l)].begin(), words_, 0);
    std::fill_n(open_.begin(), words_, 0);
    for (int i = 0; i < end; i += kLanes<double>) {
      const auto w = static_cast<std::size_t>(i / 64);
      open_[w] |= static_cast<Word>(lambda_signs(view, i, positive) & kAllLanes<double>) << (i % 64);
      for (int l = 0; l < view.size; ++l) {
        lambda_[static_cast<std::size_t>(l)][w] |= static_cast<Word>(positive[static_cast<std::size_t>(l)]) << (i % 64);
      }
    }
  }

  /// The bits of the rows in the span of S, in the cell of element i.
  template <class L>
  void sign_span(const LeafView<L>& view, int k, int i) {
    const bool forward = get_bit(forward_.data(), i), open = get_bit(open_.data(), i);
    for (int l = 0; l < k; ++l) {
      const auto at = static_cast<std::size_t>(l);
      const bool plus = open ? orientation(view, k) * exact_lambda_sign(k, view.level, i, l) > 0
                             : get_bit(lambda_[at].data(), i);
      plus_[at] = plus == forward;
    }
    for (const int w : span_words_) {
      const auto at = static_cast<std::size_t>(w);
      Word span = lowest_[at];
      for (int l = 0; l < k; ++l) {
        if (plus_[static_cast<std::size_t>(l)]) span ^= turning_[at * ArrangementRows::kMaxRank + static_cast<std::size_t>(l)];
      }
      cell_[at] = (cell_[at] & outside_[at]) | span;
    }
  }

  /// Goes beyond a ray, where the rows that vanish there change their signs.
  void pass(int begin, int end) {
    for (int t = begin; t < end; ++t) {
      const int j = order_[static_cast<std::size_t>(t)];
      cell_[static_cast<std::size_t>(j / 64)] ^= Word{1} << (j % 64);
    }
  }

  static constexpr int kRowBits = 24;
  static constexpr std::uint64_t kRowMask = (std::uint64_t{1} << kRowBits) - 1;
  static constexpr std::int64_t kKeyMask = (std::int64_t{1} << 39) - 1;
  static constexpr double kKeyScale = 0x1p38 - 1;  // keys, of angles up to 2, fill the mask
  static constexpr double kSigns[2] = {-1, 1};

  Words forward_, near_, joined_;
  std::vector<std::uint64_t> keys_, sorted_;
  SpreadSort sort_;
  std::vector<int> order_;                           // rows outside the span of S by the angles of their rays
  std::vector<double> first_column_, second_column_;  // of their directions, in this order
  int orientation_ = 0;
  Words first_, open_;         // rows that have cells, and rows whose lambdas are not decided
  std::vector<Words> lambda_;  // where they are positive
  std::array<bool, ArrangementRows::kMaxRank> plus_;
  std::vector<int> span_words_;  // that have rows in the span of S
  std::vector<std::int64_t> slots_;
};

}  // namespace cvxrelu
