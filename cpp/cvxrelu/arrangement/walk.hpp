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
// and for each cell the n / 64 words of its mask, its gate from the rows nearby (near.hpp).
#pragma once

#include <algorithm>
#include <numeric>
#include <type_traits>
#include <vector>

#include "cvxrelu/arrangement/output.hpp"
#include "cvxrelu/base/spread_sort.hpp"

namespace cvxrelu {

template <Arithmetic kArithmetic>
class LineWalk : public CellWriter<kArithmetic> {
  using Base = CellWriter<kArithmetic>;

 protected:
  using Base::counts, Base::pulse_, Base::rows_, Base::n_, Base::r_, Base::words_, Base::nodes_, Base::kManyRows;
  using Base::in_span, Base::same_side, Base::exact_row_sign, Base::exact_lambda_sign;
  using Base::outside_, Base::dependent_, Base::cell_, Base::lowest_, Base::turning_, Base::output_, Base::first_pair_;
  using Base::split_span, Base::store_masks, Base::finish_gate, Base::ray_cell, Base::base_, Base::check_;
  using typename Base::Gate;
  using typename Base::S;

  LineWalk(const ArrangementRows& rows, const SearchSettings& settings, Pulse& pulse)
      : Base(rows, settings, pulse), near_rows_(rows) {
    for (Words* mask : {&forward_, &near_, &first_, &open_}) mask->assign(static_cast<std::size_t>(words_ + 1), 0);
    lambda_.assign(static_cast<std::size_t>(r_), Words(static_cast<std::size_t>(words_ + 1), 0));
    if (n_ >= kManyRows) find_twins();
    keys_.assign(static_cast<std::size_t>(padded(n_, kLanes<double>)), 0);
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
    std::int64_t pair = counts.pairs - first_pair_;
    const std::int64_t found = count_cells(end);
    counts.pairs += found;
    if (output_.words == nullptr || found == 0) return;
    sort_lambda(view, end);
    for (int w = 0; w < words_; ++w) {
      cell_[w] = forward_[static_cast<std::size_t>(w)] & outside_[static_cast<std::size_t>(w)];
    }
    std::size_t stop = 0, batch_end = 0;
    if (output_.gates != nullptr) copy_coordinates(view, k);
    const bool before = view.omega < 0;
    const int count = static_cast<int>(order_.size());
    for (int begin = 0, next = 0; begin < count; begin = next) {
      next = end_of_ray(begin);
      const int i = smallest_row(begin, next);
      if (!before) pass(begin, next);
      if (get_bit(first_.data(), i)) {
        if (pair % 16 == 0) pulse_.beat(counts.pairs, 1 + static_cast<unsigned>(words_) / 16);
        sign_span(view, k, i);
        const bool flip = store_masks(pair, words_);
        if (output_.gates != nullptr) {
          if (stop == batch_end) batch_end = begin_batch(stop);
          write_gate(view, k, begin, next, i, pair, flip);
        }
        ++pair;
        ++stop;
      }
      if (before) pass(begin, next);
    }
  }

 private:
  /// Rows that are the same up to their sign and a power of two; none where they are rounded.
  void find_twins() {
    const RowMatrix& rows = rows_.scaled;
    std::vector<int> order(static_cast<std::size_t>(n_));
    std::iota(order.begin(), order.end(), 0);
    const auto sign = [&](int j) {
      for (int c = 0; c < r_; ++c) {
        if (rows(j, c) != 0) return rows(j, c) > 0 ? 1.0 : -1.0;
      }
      return 1.0;
    };
    const auto compare = [&](int i, int j) {
      const double a = sign(i), b = sign(j);
      for (int c = 0; c < r_; ++c) {
        if (a * rows(i, c) != b * rows(j, c)) return a * rows(i, c) < b * rows(j, c) ? -1 : 1;
      }
      return 0;
    };
    std::stable_sort(order.begin(), order.end(), [&](int i, int j) { return compare(i, j) < 0; });
    twin_.resize(static_cast<std::size_t>(n_));
    for (std::size_t t = 0; t < order.size(); ++t) {
      const bool first = t == 0 || rows_.parts > 1 || compare(order[t - 1], order[t]) != 0;
      twin_[static_cast<std::size_t>(order[t])] = first ? order[t] : twin_[static_cast<std::size_t>(order[t - 1])];
    }
  }

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
    for (int j = 0; j < n_ && !(longest > 0.125 * view.bounds.norm); ++j) {
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
      if constexpr (kKind == Compare::kBounded) limit = view.bounds.limits(load(x), load(y));
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
      return view.bounds.limits(broadcast<double>(view.e1[i]), broadcast<double>(view.e2[i]))[0];
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
      if (twin_[static_cast<std::size_t>(i)] == twin_[static_cast<std::size_t>(j)] || in_span(k, i, j)) return 0;
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
  std::int64_t count_cells(int end) {
    for (int w = 0; w < words_; ++w) {
      const int below = std::clamp(end - 64 * w, 0, 64);
      const auto at = static_cast<std::size_t>(w);
      first_[at] = below == 0 ? 0 : outside_[at] & (~Word{0} >> (64 - below));
    }
    stops_.clear();
    const int count = static_cast<int>(order_.size());
    for (int t = 0, next = 0; t < count; t = next) {
      next = end_of_ray(t);
      const int smallest = smallest_row(t, next);
      if (smallest < end) stops_.push_back(t);
      for (int m = t; m < next; ++m) {
        const int j = order_[static_cast<std::size_t>(m)];
        if (j != smallest) set_bit(first_.data(), j, false);
      }
    }
    return static_cast<std::int64_t>(stops_.size());
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
      const bool plus =
          open ? orientation(view, k) * exact_lambda_sign(k, view.level, i, l) > 0 : get_bit(lambda_[at].data(), i);
      plus_[at] = plus == forward;
    }
    for (const int w : span_words_) {
      const auto at = static_cast<std::size_t>(w);
      Word span = lowest_[at];
      for (int l = 0; l < k; ++l) {
        if (plus_[static_cast<std::size_t>(l)])
          span ^= turning_[at * ArrangementRows::kMaxRank + static_cast<std::size_t>(l)];
      }
      turn_bits(w, (cell_[w] & ~outside_[at]) ^ span);
    }
  }

  /// Goes beyond a ray, where the rows that vanish there change their signs.
  void pass(int begin, int end) {
    for (int t = begin; t < end; ++t) {
      const int j = order_[static_cast<std::size_t>(t)];
      turn_bits(j / 64, Word{1} << (j % 64));
    }
  }

  /// Changes bits of the cell. In whole vectors, as they are read next: the processor would wait for a shorter store.
  void turn_bits(int w, Word bits) {
    if (bits == 0) return;
    Word* block = cell_.data() + w / kVectorWords * kVectorWords;
    WordVec lane{}, old = load_words(block);
    for (int v = 0; v < kVectorWords; ++v) lane[v] = static_cast<Word>(v);
    const WordVec changed = lane == static_cast<Word>(w % kVectorWords) - WordVec{} ? bits - WordVec{} : WordVec{};
    store_words(block, old ^ changed);
    if (output_.gates != nullptr) near_rows_.turn(w, bits);
  }

  // ---- gates ----

  /// Coordinates of the columns, in double and padded.
  template <class L>
  void copy_coordinates(const LeafView<L>& view, int k) {
    coordinates_.resize(static_cast<std::size_t>(k) + 2);
    for (std::size_t q = 0; q < coordinates_.size(); ++q) {
      const L* column = q == 0 ? view.e1 : q == 1 ? view.e2 : view.dual[q - 2];
      coordinates_[q] = {};
      for (int c = 0; c < r_; ++c) {
        coordinates_[q][static_cast<std::size_t>(c)] =
            static_cast<double>(column[this->template lanes_of_rows<L>() + c]);
      }
    }
  }

  /// target = a x + b y; returns the square of its norm.
  double combine_two(double a, const Gate& x, double b, const Gate& y, Gate& target) const {
    Vec<double> square{};
    for (int c = 0; c < r_; c += kLanes<double>) {
      const Vec<double> sum = broadcast(a) * load(x.data() + c) + broadcast(b) * load(y.data() + c);
      store(target.data() + c, sum);
      square += sum * sum;
    }
    return total<double>(square);
  }

  /// Gathers the rows near some cells from one on, those that come next on the line; returns the first cell after them.
  std::size_t begin_batch(std::size_t stop) {
    const auto ray = [this](std::size_t at, Gate& target) {
      const auto t = static_cast<std::size_t>(stops_[at]);
      const double x = first_column_[t], y = second_column_[t];
      const double norm = std::sqrt(combine_two(x, coordinates_[1], -y, coordinates_[0], target));
      combine_two(1 / norm, target, 0, target, target);
    };
    Gate first, last, center;
    ray(stop, first);
    std::size_t end = std::min(stop + kBatch, stops_.size());
    double radius = 0;
    for (;; end = stop + (end - stop) / 2) {
      ray(end - 1, last);
      const double norm = std::sqrt(combine_two(1, first, 1, last, center));
      radius = 0.5 * std::sqrt(combine_two(1, first, -1, last, last));
      combine_two(1 / norm, center, 0, center, center);
      if (end == stop + 1 || radius < 0.25) break;
    }
    farthest_ = std::min(0.5, std::max(radius, 8.0 / n_));
    near_rows_.gather(center.data(), 1.1 * (radius + farthest_), cell_.data(), outside_.data());
    return end;
  }

  /// A point of the cell from its ray on, half the way to the next hyperplane, but near the ray.
  template <class L>
  void write_gate(const LeafView<L>& view, int k, int begin, int end, int i, std::int64_t pair, bool flip) {
    const auto at =
        static_cast<std::size_t>(std::find(order_.begin() + begin, order_.begin() + end, i) - order_.begin());
    const double x = first_column_[at], y = second_column_[at];
    const bool second = std::abs(x) < std::abs(y);
    const Gate& own = coordinates_[second];
    const double inverse = kSigns[get_bit(forward_.data(), i)] / (second ? y : x);
    Gate gate, direction, dual;
    const double ray_square = combine_two(x, coordinates_[1], -y, coordinates_[0], gate);
    const double pivot = kSigns[view.omega < 0] * view.pivot / (second ? y : x);
    double square = combine_two(pivot, own, 0, own, direction);
    determined_.clear();
    for (int t = begin; t < end; ++t) {
      const int j = order_[static_cast<std::size_t>(t)];
      if (j != i) determined_.push_back(j);
    }
    for (int l = k - 1; l >= base_; --l) {
      const auto element = static_cast<std::size_t>(l);
      const double sign = kSigns[plus_[element]];
      combine_two(sign, coordinates_[element + 2], -sign * static_cast<double>(view.dual[element][i]) * inverse, own,
                  dual);
      square = combine_two(1, direction, reach_determined(direction, dual), dual, direction);
      add_entered(nodes_[element + 1]);
    }
    const double farthest = near_rows_.reach(gate.data(), direction.data(), order_.data() + begin, end - begin);
    const double step = std::min(0.5 * farthest, square > 0 ? farthest_ * std::sqrt(ray_square / square) : 1);
    combine_two(1, gate, step, direction, gate);
    finish_gate(
        pair, flip, gate, [&] { return check_.inside(gate.data(), cell_.data(), near_rows_); },
        [&] {
          std::fill(dependent_.begin(), dependent_.end(), 0);
          for (int t = begin; t < end; ++t) {
            const int j = order_[static_cast<std::size_t>(t)];
            set_bit(dependent_.data(), j, j != i);
          }
          return ray_cell(k, i, view.level);
        });
  }

  /// Rows that enter the span of S with an element, but for that itself.
  void add_entered(const Node<S>& entry) {
    for (const int w : span_words_) {
      const auto at = static_cast<std::size_t>(w);
      for (Word rest = entry.positive[at] | entry.negative[at]; rest != 0; rest &= rest - 1) {
        determined_.push_back(64 * w + __builtin_ctzll(rest));
      }
    }
  }

  /// How far to go along a dual vector, which earlier ones dominate: half as far as the rows that they decide allow.
  double reach_determined(const Gate& direction, const Gate& dual) const {
    double least = 2;
    for (const int j : determined_) {
      const double* row = rows_.scaled.data() + static_cast<Index>(j) * r_;
      double value = 0, change = 0;
      for (int c = 0; c < r_; ++c) {
        value += row[c] * direction[static_cast<std::size_t>(c)];
        change += row[c] * dual[static_cast<std::size_t>(c)];
      }
      if (value * change < 0) least = std::min(least, std::abs(value / change));
    }
    return 0.5 * least;
  }

  static constexpr std::size_t kBatch = 16;
  static constexpr int kRowBits = 24;
  static constexpr std::uint64_t kRowMask = (std::uint64_t{1} << kRowBits) - 1;
  static constexpr std::int64_t kKeyMask = (std::int64_t{1} << 39) - 1;
  static constexpr double kKeyScale = 0x1p38 - 1;  // keys, of angles up to 2, fill the mask
  static constexpr double kSigns[2] = {-1, 1};

  std::vector<int> twin_;  // the first of the rows that are the same up to their sign and a power of two
  Words forward_, near_, joined_;
  std::vector<std::uint64_t> keys_, sorted_;
  SpreadSort sort_;
  std::vector<int> order_;                            // rows outside the span of S by the angles of their rays
  std::vector<double> first_column_, second_column_;  // of their directions, in this order
  int orientation_ = 0;
  Words first_, open_;         // rows that have cells, and rows whose lambdas are not decided
  std::vector<Words> lambda_;  // where they are positive
  std::array<bool, ArrangementRows::kMaxRank> plus_;
  std::vector<int> stops_;  // where in the order the rays with cells begin
  NearRows near_rows_;
  double farthest_ = 0;            // from a ray of norm one to its gate
  std::vector<Gate> coordinates_;  // of the two null columns and of the dual ones
  std::vector<int> determined_;
  std::vector<int> span_words_;  // that have rows in the span of S
};

}  // namespace cvxrelu
