// The last two elements at once, for masks alone and up to 62 rows in floating point: with three null columns left, the
// node of the last but one is not written down. In rank 10 most nodes are such.
//
// For element s the dual vector t, the null columns e1, e2 and what leaf.hpp makes of them take some
// vectors, which are over the rows for the ray and over the elements for all lambda. Anything that the error bounds
// leave open, and anything degenerate, goes to the search one by one, which decides exactly.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>

#include "cvxrelu/arrangement/walk.hpp"

namespace cvxrelu {

template <Arithmetic kArithmetic>
class LastPairs : public LineWalk<kArithmetic> {
  using Base = LineWalk<kArithmetic>;

 protected:
  using Base::counts, Base::pulse_, Base::rows_, Base::tol_, Base::n_, Base::r_, Base::size_, Base::nodes_;
  using Base::everywhere_, Base::output_, Base::first_pair_, Base::cell_, Base::outside_, Base::lowest_, Base::turning_;
  using Base::split_span, Base::store_masks, Base::largest_entry, Base::kInteger;

  LastPairs(const ArrangementRows& rows, const SearchSettings& settings, Pulse& pulse)
      : Base(rows, settings, pulse), width_(padded(std::max(r_ - 2, 1), kLanes<double>)) {
    const auto width = static_cast<std::size_t>(width_);
    for (auto* values : {&norm_, &g_, &h_, &old_share_}) values->assign(width, 0);
    for (auto* values : {&share_, &alpha_, &beta_, &error_}) values->assign(width, 0);
    elements_.assign(width, 0);
    if (r_ > 2) old_share_[static_cast<std::size_t>(r_ - 3)] = -1;
    if (kInteger || r_ < 3) return;
    dual_rows_.assign(width * static_cast<std::size_t>(n_), 0);
  }

  /// Makes node k, whose last element is `end`, ready for `pairs`; returns whether that applies.
  bool begin_pairs(int k, int end) {
    if constexpr (kInteger) {
      return false;
    } else {
      if (k != r_ - 3 || size_ > 64 || everywhere_ || tol_ > 0) return false;
      const Node<double>& node = nodes_[static_cast<std::size_t>(k)];
      split_span(k);
      free_rows_ = outside_[0];
      lowest_bits_ = lowest_[0];
      for (int l = 0; l < k; ++l) {
        const auto at = static_cast<std::size_t>(l);
        const double* dual = node.column(r_ - 1 - l);
        for (int j = 0; j < end; ++j) dual_rows_[static_cast<std::size_t>(j * width_ + l)] = dual[j];
        g_[at] = dual[n_];
        h_[at] = dual[n_ + 1];
        norm_[at] = node.norms[static_cast<std::size_t>(r_ - 1 - l)];
        elements_[at] = turning_[at];
      }
      return true;
    }
  }

  /// All cells of node k, element s and a smaller one; false, and none of them, if anything is open or degenerate.
  bool pairs(int k, int s) {
    if constexpr (kInteger) {
      return false;
    } else {
      pulse_.beat(counts.pairs, 1);
      Line line;
      if (!eliminate_last(nodes_[static_cast<std::size_t>(k)], k, s, line)) return false;
      const std::int64_t before = counts.pairs;
      elements_[static_cast<std::size_t>(k)] = Word{1} << s;
      const Word below = (Word{1} << s) - 1;
      for (Word rest = free_rows_ & below; rest != 0; rest &= rest - 1) {
        if (write_pair(line, s, __builtin_ctzll(rest))) continue;
        counts.pairs = before;
        return false;
      }
      counts.sets[static_cast<std::size_t>(k + 2)] += counts.pairs - before;
      return true;
    }
  }

 private:
  /// Two null columns and the dual vector of the last element but one, on the rows and two functionals.
  struct alignas(kLineBytes) Line {
    std::array<double, 64> e1, e2, t;
    LeafBounds bounds;
    double omega;
  };

  /// Bounds without coordinates, as `bound_loosely` takes them, where nothing of the node but its lanes is needed.
  bool eliminate_last(const Node<double>& node, int k, int s, Line& line) {
    const std::array<double, 3> row = {node.column(0)[s], node.column(1)[s], node.column(2)[s]};
    const int p = largest_entry(row.data(), 3), a = p == 0, b = 2 - (p == 2);
    const auto value = [&row](int q) { return row[static_cast<std::size_t>(q)]; };
    const auto norm = [&node](int q) { return node.norms[static_cast<std::size_t>(q)]; };
    const double pivot = std::abs(value(p)), dual_norm = norm(p) / pivot;
    const double null_norm =
        std::max(norm(a) + std::abs(value(a)) * dual_norm, norm(b) + std::abs(value(b)) * dual_norm);
    Vec<double> sum{}, largest{}, factor{};
    const double* shares = dual_rows_.data() + static_cast<Index>(s) * width_;
    for (int l = 0; l < width_; l += kLanes<double>) {
      const Vec<double> share = load(shares + l) + load(old_share_.data() + l), size = absolute<double>(share);
      const Vec<double> new_norm = load(norm_.data() + l) + size * broadcast(dual_norm);
      store(share_.data() + l, share);
      store(error_.data() + l, new_norm);
      sum += new_norm;
      largest = maximum(largest, new_norm);
      factor = maximum(factor, size);
    }
    const double R = rows_.row_bound;
    NodeBounds bounds;
    bounds.null_norm = R * null_norm;
    bounds.dual_norm_sum = R * total<double>(sum);
    bounds.dual_norm_max = R * greatest<double>(largest);
    update_errors(pivot, greatest<double>(factor), k + 1, node.bounds, R * dual_norm, bounds);
    if (!eliminate_lanes(node, {a, b, p}, {value(a), value(b), 1 / value(p)}, bounds.null_threshold(), s, line)) {
      return false;
    }
    line.bounds.set(bounds, null_norm, r_, R);
    return combine_functionals(line, k);
  }

  bool eliminate_lanes(const Node<double>& node, std::array<int, 3> columns, std::array<double, 3> factors,
                       double threshold, int s, Line& line) const {
    const double *x1 = node.column(columns[0]), *x2 = node.column(columns[1]), *source = node.column(columns[2]);
    const Vec<double> f1 = broadcast(factors[0]), f2 = broadcast(factors[1]), inverse = broadcast(factors[2]);
    const Vec<double> limit = broadcast(threshold);
    Word small = 0;
    for (int j = 0; j < size_; j += kLanes<double>) {
      const Vec<double> t = load(source + j) * inverse;
      const Vec<double> e1 = load(x1 + j) - f1 * t, e2 = load(x2 + j) - f2 * t;
      store(line.t.data() + j, t);
      store(line.e1.data() + j, e1);
      store(line.e2.data() + j, e2);
      const Vec<double> largest = maximum(absolute<double>(e1), absolute<double>(e2));
      small |= static_cast<Word>(~less_bits(limit, largest) & kAllLanes<double>) << j;
    }
    return (small & free_rows_ & ~(Word{1} << s)) == 0;
  }

  /// Omega, and alpha and beta of all elements; false if the sign of omega is open.
  bool combine_functionals(Line& line, int k) {
    const auto g = static_cast<std::size_t>(n_), h = g + 1;
    const double g1 = line.e1[g], h1 = line.e1[h], g2 = line.e2[g], h2 = line.e2[h];
    line.omega = g1 * h2 - h1 * g2;
    if (!(std::abs(line.omega) > line.bounds.omega_error)) return false;
    for (int l = 0; l < width_; l += kLanes<double>) {
      const Vec<double> share = load(share_.data() + l);
      const Vec<double> g_dual = load(g_.data() + l) - share * broadcast(line.t[g]);
      const Vec<double> h_dual = load(h_.data() + l) - share * broadcast(line.t[h]);
      store(alpha_.data() + l, broadcast(g2) * h_dual - broadcast(h2) * g_dual);
      store(beta_.data() + l, broadcast(g1) * h_dual - broadcast(h1) * g_dual);
      store(error_.data() + l,
            broadcast(line.bounds.lambda_scale) * load(error_.data() + l) + broadcast(line.bounds.lambda_shift));
    }
    for (int l = k + 1; l < width_; ++l) error_[static_cast<std::size_t>(l)] = -1;  // zeros there are certain
    return true;
  }

  bool write_pair(const Line& line, int s, int i) {
    const auto at = static_cast<std::size_t>(i);
    const Vec<double> X1 = broadcast(line.e1[at]), X2 = broadcast(line.e2[at]), t = broadcast(line.t[at]),
                      omega = broadcast(line.omega);
    const double* duals = dual_rows_.data() + static_cast<Index>(i) * width_;
    std::uint32_t undecided = 0;
    WordVec turned{};
    const Vec<double> zero{};
    for (int l = 0; l < width_; l += kLanes<double>) {
      const Vec<double> dual = load(duals + l) - load(share_.data() + l) * t;
      const Vec<double> lambda = dual * omega + (X1 * load(alpha_.data() + l) - X2 * load(beta_.data() + l));
      undecided |= ~less_bits(load(error_.data() + l), absolute<double>(lambda)) & kAllLanes<double>;
      turned ^= lambda > zero ? load_words(elements_.data() + l) : WordVec{};
    }
    const Vec<double> limits = line.bounds.limits(X1, X2);
    Word positive = 0, near = 0;
    for (int j = 0; j < size_; j += kLanes<double>) {
      const Vec<double> v = X1 * load(line.e2.data() + j) - X2 * load(line.e1.data() + j);
      positive |= static_cast<Word>(less_bits(zero, v)) << j;
      near |= static_cast<Word>(~less_bits(limits, absolute<double>(v)) & kAllLanes<double>) << j;
    }
    const Word outside = free_rows_ & ~(Word{1} << s) & ~(Word{1} << i);
    if (undecided != 0 || (near & outside) != 0) return false;
    const std::int64_t pair = counts.pairs++ - first_pair_;
    if (output_.words == nullptr) return true;
    const Word span =
        lowest_bits_ ^ fold<Word, kVectorWords>(turned, [](const auto& x, const auto& y) { return x ^ y; });
    cell_[0] = (positive & outside) | (static_cast<Word>(line.omega < 0) << i) | span;
    store_masks(pair, 1);
    return true;
  }

  Word free_rows_ = 0, lowest_bits_ = 0;  // of the node, while leaves below it take the place of `outside_`, `lowest_`
  const int width_;                       // the elements of a node and s, in whole vectors
  // Of the elements: duals on the rows and on two functionals, their norms, the bits they turn.
  LineVector<double> dual_rows_, g_, h_, norm_;
  LineVector<Word> elements_;
  // What a dual loses of t: its value on s; that of s itself, of which there was none, is t.
  LineVector<double> old_share_, share_;
  LineVector<double> alpha_, beta_, error_;
};

}  // namespace cvxrelu
