// What the search writes: the masks of a cell and its antipode (of an affine arrangement that of a region), and a gate
// or point inside, found along the way from the cell's
// ray towards its interior. O(n) for each cell.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <type_traits>

#include "cvxrelu/arrangement/elimination.hpp"
#include "cvxrelu/arrangement/gate.hpp"
#include "cvxrelu/arrangement/leaf.hpp"
#include "cvxrelu/base/errors.hpp"

namespace cvxrelu {

template <Arithmetic kArithmetic>
class CellWriter : public Elimination<kArithmetic> {
  using Base = Elimination<kArithmetic>;

 protected:
  using Base::counts;
  using Base::extend, Base::members, Base::rows_, Base::n_, Base::r_, Base::words_, Base::nodes_, Base::path_;
  using typename Base::S;

  CellWriter(const ArrangementRows& rows, const SearchSettings& settings, Pulse& pulse)
      : Base(rows, settings.tol, pulse),
        affine_(settings.affine),
        check_gates_(settings.check_gates),
        check_(rows, settings.affine) {
    for (Words* mask : {&outside_, &dependent_, &flipped_, &chosen_, &lowest_}) {
      mask->assign(static_cast<std::size_t>(words_ + kVectorWords), 0);
    }
    for (Pending& pending : pending_) {
      pending.cell.assign(static_cast<std::size_t>(words_), 0);
      pending.dependent.assign(static_cast<std::size_t>(words_), 0);
    }
    cell_.resize(words_ + kVectorWords);
    std::fill_n(cell_.data(), words_ + kVectorWords, 0);
    turning_.assign(static_cast<std::size_t>(words_ + 1) * ArrangementRows::kMaxRank, 0);
    int lowest = 0, highest = 0;
    for (const int exponent : rows.column_exponent) {
      lowest = std::min(lowest, exponent);
      highest = std::max(highest, exponent);
    }
    const int shift = std::max(-lowest, highest) > 900 ? (lowest + highest) / 2 : 0;  // gates may have any length
    for (const int exponent : rows.column_exponent) column_scale_.push_back(std::ldexp(1.0, shift - exponent));
    for (const int row : settings.contracted) {
      extend(base_, row, true);
      path_.push_back(row);
      ++base_;
    }
    fixed_ = nodes_[static_cast<std::size_t>(base_)].closure;
    free_.assign(rows.all.begin(), rows.all.end());
    for (std::size_t w = 0; w < free_.size(); ++w) free_[w] &= ~fixed_[w];
    while (first_free_ < n_ && !get_bit(free_.data(), first_free_)) ++first_free_;
    first_active_ = affine_ ? n_ - 1 : first_free_;
    shown_ = free_;
    if (affine_) {
      require(get_bit(free_.data(), n_ - 1), "the hyperplane at infinity must not vanish on the subspace");
      set_bit(shown_.data(), n_ - 1, false);
    }
  }

  /// Parts the rows by whether they are in the span of node k's elements.
  void split_span(int k) {
    const Node<S>& node = nodes_[static_cast<std::size_t>(k)];
    for (int w = 0; w < words_; ++w) {
      const auto at = static_cast<std::size_t>(w);
      outside_[at] = rows_.all[at] & ~node.closure[at];
      lowest_[at] = 0;
      for (int l = 0; l < k; ++l) {
        const Node<S>& entry = nodes_[static_cast<std::size_t>(l + 1)];
        lowest_[at] |= entry.negative[at];
        turning_[at * ArrangementRows::kMaxRank + static_cast<std::size_t>(l)] =
            entry.positive[at] | entry.negative[at];
      }
    }
  }

  /// Coordinates in the scaled columns, and zeros up to whole vectors.
  using Gate = std::array<double, 64>;
  static_assert(ArrangementRows::kMaxRank <= 64);

  /// A cell whose gate is to be finished.
  struct Pending {
    Gate gate, direction;  // the ray at first
    double farthest;
    std::int64_t pair;
    bool flip;
    int element;
    LineVector<Word> cell, dependent;
  };

  template <class L, Compare kKind>
  void emit(const LeafView<L>& view, int k, int i, int words, bool last,
            const std::array<std::uint32_t, ArrangementRows::kMaxRank>& lambda, int bit, bool repeated) {
    const std::int64_t pair = counts.pairs++ - first_pair_;
    if (output_.words == nullptr) return;
    // Signs and ranks that a tolerance decides need not fit together: such an arrangement may have cells too many.
    require(this->tol_ == 0 || pair < output_.pairs,
            "at this tol the signs found are those of no arrangement: they give more cells than hyperplanes can; use a "
            "smaller tol, or none, which is exact");
    const bool flip = store_masks(pair, words);
    if (output_.gates == nullptr) return;
    Pending& pending = pending_[n_pending_++];
    interior_point<L, kKind>(view, k, i, last, lambda, bit, repeated, pending);
    pending.pair = pair;
    pending.flip = flip;
    pending.element = i;
    std::copy_n(cell_.data(), words, pending.cell.data());
    std::copy_n(dependent_.data(), words, pending.dependent.data());
  }

  /// Finishes the gates of the last cells of node k: from their rays half the way to the next hyperplane, but no
  /// farther than the rays are long. Some at a time, step by step, as each alone would wait for its norms.
  void finish_pending(int k, int level) {
    std::array<double, kLanes<double>> ratios;
    for (std::size_t b = 0; b < n_pending_; ++b) {
      const double direction = square_of(pending_[b].direction);
      ratios[b] = direction > 0 ? square_of(pending_[b].gate) / direction : std::numeric_limits<double>::infinity();
    }
    for (std::size_t b = 0; b < n_pending_; ++b) {
      Pending& pending = pending_[b];
      const double step = std::min(0.5 * pending.farthest, std::sqrt(ratios[b]));
      for (int c = 0; c < r_; c += kLanes<double>) {
        double* gate = pending.gate.data() + c;
        store(gate, load(gate) + broadcast(step) * load(pending.direction.data() + c));
      }
    }
    std::array<bool, kLanes<double>> of_norm_one;
    for (std::size_t b = 0; b < n_pending_; ++b) of_norm_one[b] = normalise(pending_[b].gate);
    for (std::size_t b = 0; b < n_pending_; ++b) {
      Pending& pending = pending_[b];
      const Word* cell = pending.cell.data();
      store_gate(
          pending.pair, pending.flip, pending.gate, cell,
          [&] { return of_norm_one[b] && check_.inside(pending.gate.data(), cell); },
          [&] {
            std::copy_n(pending.dependent.data(), words_, dependent_.data());
            return ray_cell(k, pending.element, level);
          });
    }
    n_pending_ = 0;
  }

  /// Writes the cell with first bit 1 and its antipode, or the one with t > 0; returns whether `cell_` was the other.
  bool store_masks(std::int64_t pair, int words) {
    const Word flip = get_bit(cell_.data(), first_active_) ? 0 : ~Word{0};
    if (affine_) {
      const int shown = (n_ + 62) / 64;
      Word* out = output_.words + pair * shown;
      for (int w = 0; w < shown; ++w) {
        const auto at = static_cast<std::size_t>(w);
        out[w] = ((cell_[w] ^ flip) & shown_[at]) | fixed_[at];
      }
      return flip != 0;
    }
    Word* out = output_.words + 2 * pair * words;
    int w = 0;
    for (; w + kVectorWords <= words; w += kVectorWords) {
      const WordVec free = load_words(free_.data() + w), fixed = load_words(fixed_.data() + w);
      const WordVec cell = (load_words(cell_.data() + w) ^ flip) & free;
      store_words(out + w, cell | fixed);
      store_words(out + words + w, (cell ^ free) | fixed);
    }
    for (; w < words; ++w) {
      const auto at = static_cast<std::size_t>(w);
      const Word cell = (cell_[w] ^ flip) & free_[at];
      out[w] = cell | fixed_[at];
      out[words + w] = (cell ^ free_[at]) | fixed_[at];
    }
    return flip != 0;
  }

  RayCell ray_cell(int k, int i, int level) {
    RayCell cell{members(k, i), level, std::vector<int>(static_cast<std::size_t>(n_), 0)};
    for (int j = 0; j < n_; ++j) {
      int& stage = cell.stage[static_cast<std::size_t>(j)];
      if (j == i || get_bit(dependent_.data(), j)) stage = 1;
      for (int l = 0; l < k; ++l) {
        const Node<S>& entry = nodes_[static_cast<std::size_t>(l + 1)];
        if (get_bit(entry.positive.data(), j) || get_bit(entry.negative.data(), j)) stage = 1 + k - l;
      }
    }
    return cell;
  }

  template <class T>
  static constexpr T kSign[2] = {-1, 1};

  double square_of(const Gate& gate) const {
    Vec<double> square{};
    for (int c = 0; c < r_; c += kLanes<double>) square += load(gate.data() + c) * load(gate.data() + c);
    return total<double>(square);
  }

  /// Scales a gate to norm one; returns whether float64 has its square, so that it is.
  bool normalise(Gate& gate) const {
    const double square = square_of(gate), scale = 1 / std::sqrt(square);
    for (int c = 0; c < r_; c += kLanes<double>) {
      store(gate.data() + c, broadcast(scale) * load(gate.data() + c));
    }
    return square > 1e-280 && square < 1e280;
  }

  /// Scales a gate for `cell_` to norm one and stores it.
  template <class Inside, class Describe>
  void finish_gate(std::int64_t pair, bool flip, Gate& gate, const Inside& is_inside, const Describe& describe) {
    const bool of_norm_one = normalise(gate);
    store_gate(pair, flip, gate, cell_.data(), [&] { return of_norm_one && is_inside(); }, describe);
  }

  /// Checks a gate of norm one, or mends it, and writes it for the two cells of the pair.
  template <class Inside, class Describe>
  void store_gate(std::int64_t pair, bool flip, Gate& padded_gate, const Word* cell, const Inside& is_inside,
                  const Describe& describe) {
    double* gate = padded_gate.data();
    if (check_gates_) {
      bool inside = is_inside();
      if (!inside && check_.repair(describe(), cell, gate)) {
        inside = true;
        ++counts.repaired;
      }
      counts.verified += inside;
    }
    if (affine_) {
      check_.write_point(gate, output_.gates + pair * (rows_.n_features - 1));
      return;
    }
    double* out = output_.gates + 2 * pair * rows_.n_features;
    double* antipode = out + rows_.n_features;
    if (flip) std::swap(out, antipode);
    if (r_ == rows_.n_features) {
      for (int c = 0; c < r_; ++c) {
        out[c] = gate[c] * column_scale_[static_cast<std::size_t>(c)];
        antipode[c] = -out[c];
      }
      return;
    }
    std::fill_n(std::min(out, antipode), 2 * rows_.n_features, 0.0);
    for (int c = 0; c < r_; ++c) {
      const auto at = static_cast<std::size_t>(c);
      out[rows_.columns[at]] = gate[c] * column_scale_[at];
      antipode[rows_.columns[at]] = -out[rows_.columns[at]];
    }
  }

  /// A direction from the ray into the cell, and how far it is along it to the next hyperplane.
  template <class L, Compare kKind>
  void interior_point(const LeafView<L>& view, int k, int i, bool last,
                      const std::array<std::uint32_t, ArrangementRows::kMaxRank>& lambda, int bit, bool repeated,
                      Pending& pending) {
    const int size = padded(n_, kLanes<L>), coordinates = this->template lanes_of_rows<L>();
    const int length = coordinates + padded(r_, kLanes<L>);
    const Node<S>& node = nodes_[static_cast<std::size_t>(k)];
    L* values = scratch<L>(0);
    L* direction = scratch<L>(1);
    const L a = view.e1[i], b = view.e2[i];
    // Looked up, as are the signs below: their branches would be mispredicted every other time.
    const L* const nulls[2] = {view.e1, view.e2};
    const L* own = nulls[std::abs(a) < std::abs(b)];
    const L inverse = 1 / own[i];
    const L pivot = static_cast<L>(view.pivot);
    const Vec<L> A = broadcast(a), B = broadcast(b);
    for (int j = coordinates; j < length; j += kLanes<L>)
      store(values + j, A * load(view.e2 + j) - B * load(view.e1 + j));

    bool nested = repeated;
    int elements = 0;
    for (int w = 0; w < words_; ++w) {
      const auto at = static_cast<std::size_t>(w);
      elements += __builtin_popcountll(node.closure[at] & free_[at]);
      chosen_[at] = outside_[at] & ~dependent_[at];
    }
    set_bit(chosen_.data(), i, false);
    nested = nested || elements > k - base_;
    if (!nested) {
      std::array<const L*, ArrangementRows::kMaxRank + 1> columns;
      std::array<L, ArrangementRows::kMaxRank + 1> factors;
      L own_factor = last ? pivot : -pivot;
      int count = 0;
      for (int l = base_; l < k; ++l, ++count) {
        const auto at = static_cast<std::size_t>(l), to = static_cast<std::size_t>(count);
        columns[to] = view.dual[at];
        factors[to] = kSign<L>[(lambda[at] >> bit) & 1];
        own_factor -= factors[to] * view.dual[at][i];
      }
      columns[static_cast<std::size_t>(count)] = own;
      factors[static_cast<std::size_t>(count++)] = own_factor * inverse;
      pending.farthest =
          static_cast<double>(reach(values, columns.data(), factors.data(), count, size, chosen_.data()));
      for (int j = coordinates; j < length; j += kLanes<L>) {
        Vec<L> sum;
        combine<1>(columns.data(), factors.data(), count, j, &sum);
        store(direction + j, sum);
      }
    } else {
      nested_direction(view, k, i, last, lambda, bit, own, inverse, direction, length);
      pending.farthest = static_cast<double>(reach(values, direction, size, chosen_.data()));
    }
    for (int c = 0; c < r_; c += kLanes<double>) {
      store(pending.gate.data() + c, load_double(values + coordinates + c));
      store(pending.direction.data() + c, load_double(direction + coordinates + c));
    }
  }

  /// More rows than elements pass through the ray: the smallest element's dual vector dominates, then the next one's.
  template <class L>
  void nested_direction(const LeafView<L>& view, int k, int i, bool last,
                        const std::array<std::uint32_t, ArrangementRows::kMaxRank>& lambda, int bit, const L* own,
                        L inverse, L* direction, int length) {
    const int size = length - padded(r_, kLanes<L>);
    L* dual = scratch<L>(2);
    const L factor = static_cast<L>(last ? view.pivot : -view.pivot) * inverse;
    for (int j = 0; j < length; j += kLanes<L>) store(direction + j, broadcast(factor) * load(own + j));
    Words& determined = flipped_;
    determined = dependent_;
    set_bit(determined.data(), i, true);
    for (int l = k - 1; l >= base_; --l) {
      const auto at = static_cast<std::size_t>(l);
      const L sign = (lambda[at] >> bit) & 1 ? L(1) : L(-1), shift = view.dual[at][i] * inverse;
      for (int j = 0; j < length; j += kLanes<L>) {
        store(dual + j, broadcast(sign) * (load(view.dual[at] + j) - broadcast(shift) * load(own + j)));
      }
      const L step = std::min(L(1), L(0.5) * reach(direction, dual, size, determined.data()));
      for (int j = 0; j < length; j += kLanes<L>) {
        store(direction + j, load(direction + j) + broadcast(step) * load(dual + j));
      }
      const Node<S>& entry = nodes_[at + 1];
      for (int w = 0; w < words_; ++w) {
        determined[static_cast<std::size_t>(w)] |=
            entry.positive[static_cast<std::size_t>(w)] | entry.negative[static_cast<std::size_t>(w)];
      }
    }
  }

  template <class L>
  L* scratch(int which) {
    auto& buffer = [this]() -> auto& {
      if constexpr (std::is_same_v<L, float>) {
        return single_scratch_;
      } else {
        return double_scratch_;
      }
    }();
    const int length = this->template lanes_of_rows<L>() + padded(r_, kLanes<L>);
    if (buffer.size() == 0) buffer.setZero(length, 3);
    return buffer.data() + static_cast<Index>(which) * length;
  }

  const bool affine_, check_gates_;
  GateCheck check_;
  int base_ = 0;        // contracted rows: the first elements of every set
  Words free_, fixed_;  // rows that cut the subspace, and rows that vanish on it
  Words shown_;         // free rows that a pattern has
  int first_free_ = 0;
  int first_active_ = 0;  // the row whose bit is 1 in the first cell of an antipodal pair
  Words outside_, dependent_, flipped_, chosen_;
  AlignedArray<Word> cell_;
  Words lowest_, turning_;  // rows in the span of S: their bits when all lambda are negative, and what each one turns
  Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic> single_scratch_;
  Matrix double_scratch_;
  std::array<Pending, kLanes<double>> pending_;
  std::size_t n_pending_ = 0;
  CellOutput output_;
  std::int64_t first_pair_ = 0;       // pairs found before this task
  std::vector<double> column_scale_;  // turns gates for scaled columns into gates for those given
};

}  // namespace cvxrelu
