// The state of the search for one kind of arithmetic: Gauss-Jordan steps through the rows, with every rank decided for
// certain, and what follows from determinants where floating point cannot tell.
#pragma once

#include <algorithm>
#include <array>
#include <type_traits>

#include "cvxrelu/arrangement/determinant_filter.hpp"
#include "cvxrelu/arrangement/node.hpp"
#include "cvxrelu/arrangement/rows.hpp"
#include "cvxrelu/arrangement/search.hpp"
#include "cvxrelu/masks/bits.hpp"

namespace cvxrelu {

inline void set_bit(Word* mask, int j, bool value) {
  const Word bit = Word{1} << (j % 64);
  mask[j / 64] = value ? mask[j / 64] | bit : mask[j / 64] & ~bit;
}
inline bool get_bit(const Word* mask, int j) { return (mask[j / 64] >> (j % 64)) & 1; }

template <Arithmetic kArithmetic>
class Elimination : public CellSearch {
 protected:
  using S = std::conditional_t<kArithmetic == Arithmetic::kSingle, float, double>;
  static constexpr int kManyRows = 300;  // from which on walks along lines are faster
  static constexpr bool kInteger = kArithmetic != Arithmetic::kFloating;

  Elimination(const ArrangementRows& rows, double tol, Pulse& pulse)
      : rows_(rows),
        tol_(tol),
        pulse_(pulse),
        n_(rows.n),
        r_(rows.rank),
        words_(static_cast<int>(words_for(rows.n))),
        size_(lanes_of_rows<S>()),
        flags_(kInteger ? 0 : std::min(r_, size_ - n_)),
        first_other_(n_ / kLanes<S> * kLanes<S>),
        loose_(n_ < kManyRows),
        filter_(r_, rows.row_error) {
    nodes_.resize(static_cast<std::size_t>(r_));
    for (auto& node : nodes_) prepare(node, size_);
    for (auto& node : sections_) prepare(node, lanes_of_rows<double>());
    const RowMatrix& entries = kInteger ? rows_.integers : rows_.scaled;
    Node<S>& root = nodes_[0];
    for (int k = 0; k < r_; ++k) {
      for (int j = 0; j < n_; ++j) root.lanes(j, k) = static_cast<S>(entries(j, k));
      for (int g = 0; g < flags_; ++g) root.lanes(n_ + g, k) = static_cast<S>(rows_.flag(g, k));
      root.lanes(size_ + k, k) = 1;
    }
    root.closure.assign(rows_.zero.begin(), rows_.zero.end());
    std::fill_n(root.norms.begin(), r_, 1);
    root.bounds.null_norm = rows_.row_bound;
    root.bounds.null_error = std::max(1e-300, rows.row_error);
    flag_.setZero(padded(r_, kLanes<double>), r_);
    flag_.topRows(r_) = rows_.flag.topRows(r_).transpose();
    step_.rank = section_step_.rank = r_;
    step_.row.assign(static_cast<std::size_t>(padded(r_, kLanes<S>)), 0);
    section_step_.row.assign(static_cast<std::size_t>(padded(r_, kLanes<double>)), 0);
    members_.reserve(static_cast<std::size_t>(r_) + 1);
  }

  /// Lanes of a column before its coordinates: the rows, and in floating point two or more functionals of the flag.
  template <class T>
  int lanes_of_rows() const {
    return padded(kInteger ? n_ : n_ + std::min(r_, 2), kLanes<T>);
  }

  template <class T>
  void prepare(Node<T>& node, int size) {
    node.lanes.setZero(size + padded(r_, kLanes<T>), r_);
    node.norms.assign(static_cast<std::size_t>(padded(r_, kLanes<double>)), 0);
    for (Words* mask : {&node.closure, &node.positive, &node.negative}) {
      mask->assign(static_cast<std::size_t>(words_), 0);
    }
  }

  // ---- one Gauss-Jordan step ----

  struct Update {
    Vec<S> pivot, divisor, inverse;
    Vec<S> operator()(Vec<S> source, Vec<S> factor, Vec<S> dual) const {
      if constexpr (!kInteger) {
        return source - factor * dual;
      } else if constexpr (kArithmetic == Arithmetic::kWide) {
        Vec<S> high, low, high2, low2, back, rest;
        exact_product(pivot, source, high, low);
        exact_product(factor, dual, high2, low2);
        const Vec<S> sum = high - high2, part = sum - high;
        const Vec<S> error = (high - (sum - part)) - (high2 + part);
        const Vec<S> first = round(sum * inverse);
        exact_product(first, divisor, back, rest);
        return first + round(((sum - back) - rest + (error + (low - low2))) * inverse);
      } else {
        return round((pivot * source - factor * dual) * inverse);
      }
    }
    static Vec<S> round(Vec<S> x) { return (x + broadcast(LaneBits<S>::kRound)) - broadcast(LaneBits<S>::kRound); }
  };

  /// Eliminates row s from node k into node k + 1; false when S + s contains a broken circuit, unless that is allowed.
  bool extend(int k, int s, bool allow_broken = false) {
    pulse_.beat(counts.pairs, 1);
    const Node<S>& from = nodes_[static_cast<std::size_t>(k)];
    Node<S>& to = nodes_[static_cast<std::size_t>(k + 1)];
    Step<S>& step = step_;
    step.nulls = r_ - k;
    for (int q = 0; q < r_; ++q) step.row[static_cast<std::size_t>(q)] = from.column(q)[s];
    step.pivot = pivot_column(step);
    if (step.pivot < 0) return false;
    const S pivot = step.row[static_cast<std::size_t>(step.pivot)];
    const S sign = kInteger ? (pivot < 0 ? S(-1) : S(1)) : 1 / pivot;
    to.pivot = kInteger ? static_cast<double>(std::abs(pivot)) : 1;
    const auto divisor = static_cast<S>(from.pivot);
    const Update update{broadcast(std::abs(pivot)), broadcast(divisor), broadcast(1 / divisor)};
    const int length = size_ + padded(r_, kLanes<S>);

    const auto eliminate = [&](int first, int last, int begin, int end) {
      eliminate_columns(from, step, sign, update, first, last, begin, end, to);
    };
    eliminate(0, r_, first_other_, length);
    if constexpr (!kInteger) {
      coordinate_norms(to, to.norms);
      bound_closely(step, from.bounds, rows_.row_bound, to);
    }

    const Vec<S> limit = broadcast(null_limit(to));
    Words& closure = to.closure;
    for (int w = 0; w < words_; ++w) {
      const int begin = 64 * w, end = std::min(size_, begin + 64);
      eliminate(0, step.dual(), begin, end);
      const Word small = small_rows(to, step.dual(), limit, begin, end);
      Word open = small & rows_.all[static_cast<std::size_t>(w)] & ~from.closure[static_cast<std::size_t>(w)];
      if (w == s / 64) open &= ~(Word{1} << (s % 64));
      Word inside = open;
      if constexpr (!kInteger) {
        for (Word rest = open; rest != 0 && tol_ == 0; rest &= rest - 1) {
          const int j = 64 * w + __builtin_ctzll(rest);
          if (exactly_independent(k, s, j)) inside &= ~(rest & -rest);
        }
      }
      if (w == s / 64) {
        if (!allow_broken && (inside & ((Word{1} << (s % 64)) - 1))) return false;
        inside |= Word{1} << (s % 64);
      } else if (!allow_broken && w < s / 64 && inside != 0) {
        return false;
      }
      to.positive[static_cast<std::size_t>(w)] = inside;
      closure[static_cast<std::size_t>(w)] = from.closure[static_cast<std::size_t>(w)] | inside;
    }
    const int dual_end = everywhere_ || allow_broken ? size_ : padded(s, kLanes<S>);
    eliminate(step.nulls, r_, 0, std::min(dual_end, first_other_));
    sort_by_coefficient(k, s, to.column(step.dual()), to);
    return true;
  }

  /// Bits of the rows of one word where no null column is above the limit.
  static Word small_rows(const Node<S>& node, int nulls, Vec<S> limit, int begin, int end) {
    Word small = 0;
    in_blocks<S>(begin, end, [&](auto block, int j) {
      Vec<S> largest[block]{};
      for (int q = 0; q < nulls; ++q) {
        const S* x = node.column(q) + j;
        for (int b = 0; b < block; ++b) largest[b] = maximum(largest[b], absolute<S>(load(x + b * kLanes<S>)));
      }
      for (int b = 0; b < block; ++b, j += kLanes<S>) {
        small |= static_cast<Word>(~less_bits(limit, largest[b]) & kAllLanes<S>) << (j % 64);
      }
    });
    return small;
  }

  S null_limit(const Node<S>& node) const {
    if constexpr (kInteger) {
      return S(0.5);
    } else {
      return tol_ > 0 ? tol_ * node.bounds.null_norm : node.bounds.null_threshold();
    }
  }

  /// Without branches, which would be mispredicted. The first if all are zero: unreliable from there.
  template <class T>
  static int largest_entry(const T* row, int size) {
    int best = 0;
    T largest = std::abs(row[0]);
    for (int q = 1; q < size; ++q) {
      const T value = std::abs(row[q]);
      best = value > largest ? q : best;
      largest = value > largest ? value : largest;
    }
    return best;
  }

  /// Integer kinds take the smallest pivot, which keeps numbers small; floating point the largest.
  int pivot_column(const Step<S>& step) const {
    const S* row = step.row.data();
    if constexpr (!kInteger) return largest_entry(row, step.nulls);
    int best = -1;
    for (int q = 0; q < step.nulls; ++q) {
      if (row[q] != 0 && (best < 0 || std::abs(row[q]) < std::abs(row[best]))) best = q;
    }
    return best;
  }

  /// Norms of the columns' coordinates, or a little more.
  template <class T>
  void coordinate_norms(const Node<T>& node, LineVector<double>& norms) const {
    const int length = padded(r_, kLanes<T>);
    for (int q = 0; q < r_; ++q) {
      const T* x = node.column(q) + node.lanes.rows() - length;
      Vec<T> square{};
      for (int c = 0; c < length; c += kLanes<T>) square += load(x + c) * load(x + c);
      norms[static_cast<std::size_t>(q)] = static_cast<double>(total<T>(square));
    }
    for (double& norm : norms) norm = 1.001 * std::sqrt(norm);
  }

  /// Splits the rows that came into the span by the sign of their coefficient on s.
  void sort_by_coefficient(int k, int s, const S* dual, Node<S>& to) {
    const double limit = kInteger || tol_ > 0 ? 0 : to.bounds.dual_threshold();
    for (int w = 0; w < words_; ++w) {
      Word entered = to.positive[static_cast<std::size_t>(w)], negative = 0;
      for (Word rest = entered; rest != 0; rest &= rest - 1) {
        const int j = 64 * w + __builtin_ctzll(rest);
        if (j == s) continue;
        bool minus = dual[j] < 0;
        if (!kInteger && tol_ == 0 && !(std::abs(static_cast<double>(dual[j])) > limit)) {
          minus = exact_coefficient_sign(k, s, j) < 0;
        }
        if (minus) negative |= rest & -rest;
      }
      to.positive[static_cast<std::size_t>(w)] = entered & ~negative;
      to.negative[static_cast<std::size_t>(w)] = negative;
    }
  }

  // ---- exact decisions ----

  /// The rows of S (its first k), then i.
  const std::vector<int>& members(int k, int i) {
    members_.assign(path_.begin(), path_.begin() + k);
    members_.push_back(i);
    return members_;
  }

  void count_exact_decision() {
    ++counts.exact_decisions;
    pulse_.beat(counts.pairs, 64);
  }

  bool exactly_independent(int k, int i, int j) {
    count_exact_decision();
    members(k, i);
    members_.push_back(j);
    return rows_.exact->independent(members_);
  }

  /// As `determinant_sign` where floating point can tell it, else 0.
  int likely_sign(const std::vector<int>& rows) {
    pulse_.beat(counts.pairs, 2);
    for (int i = 0; i < r_; ++i) {
      const int row = rows[static_cast<std::size_t>(i)];
      for (int c = 0; c < r_; ++c) filter_.row(i)[c] = row < n_ ? rows_.scaled(row, c) : rows_.flag(row - n_, c);
    }
    return filter_.sign();
  }

  /// Of rows whose determinant vanishes for special flags alone. Then the flag g_0, g_1, ... stands for g_q + e_q h_q
  /// with e_0 >> e_1 >> ... > 0 smaller than any number (Edelsbrunner and Muecke 1990): the largest term decides.
  int determinant_sign(std::vector<int> rows) {
    if (const int sign = likely_sign(rows); sign != 0) return sign;
    count_exact_decision();
    int sign = rows_.exact->determinant_sign(rows);
    if (sign != 0) return sign;
    std::vector<std::size_t> functionals;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i] >= n_) functionals.push_back(i);
    }
    std::sort(functionals.begin(), functionals.end(), [&](auto a, auto b) { return rows[a] < rows[b]; });
    // With e_q = e^(2^q): the power of e, in binary, says what is replaced.
    for (std::uint64_t terms = 1;
         sign == 0 && terms < std::uint64_t{1} << std::min<std::size_t>(functionals.size(), 20); ++terms) {
      std::vector<int> replaced = rows;
      for (std::size_t q = 0; q < functionals.size(); ++q) {
        if ((terms >> q) & 1) replaced[functionals[q]] += r_;
      }
      sign = rows_.exact->determinant_sign(replaced);
    }
    if (sign == 0) throw std::runtime_error("rows that must be independent of a generic flag are not");
    return sign;
  }

  /// Sign of c where a_j = c a_i modulo the span of S: both rows in the determinant of S and flag functionals.
  int exact_coefficient_sign(int k, int i, int j) {
    std::vector<int> rows(path_.begin(), path_.begin() + k);
    for (int q = 0; q < r_ - 1 - k; ++q) rows.push_back(n_ + q);
    rows.push_back(i);
    const int first = determinant_sign(rows);
    rows.back() = j;
    return first * determinant_sign(rows);
  }

  /// Signs at the cell of S + i, up to one common sign: of row j, and of lambda for the element at a position.
  int exact_row_sign(int k, int level, int i, int j) {
    std::vector<int> rows = members(k, i);
    for (int q = 0; q < level; ++q) rows.push_back(n_ + q);
    rows.push_back(j);
    return determinant_sign(std::move(rows));
  }
  int exact_lambda_sign(int k, int level, int i, int position) {
    std::vector<int> rows = members(k, i);
    rows[static_cast<std::size_t>(position)] = n_ + level + 1;
    for (int q = 0; q <= level; ++q) rows.push_back(n_ + q);
    return determinant_sign(std::move(rows));
  }

  /// Whether row j lies in the span of S + i, though in that of neither S nor i.
  bool in_span(int k, int i, int j) {
    const Node<S>& node = nodes_[static_cast<std::size_t>(k)];
    if constexpr (kInteger) {
      using Wide = __int128;
      const int c = largest_null(node, k, i);
      const auto at = [&node](int q, int row) { return static_cast<std::int64_t>(node.column(q)[row]); };
      for (int q = 0; q < r_ - k; ++q) {
        if (Wide(at(c, i)) * at(q, j) != Wide(at(q, i)) * at(c, j)) return false;
      }
      return true;
    } else {
      return tol_ > 0 || !exactly_independent(k, i, j);
    }
  }

  int largest_null(const Node<S>& node, int k, int i) const {
    int best = 0;
    for (int q = 1; q < r_ - k; ++q) {
      if (std::abs(node.column(q)[i]) > std::abs(node.column(best)[i])) best = q;
    }
    return best;
  }

  /// Sign of c where a_j = c a_i modulo the span of S.
  bool same_side(int k, int i, int j) {
    const Node<S>& node = nodes_[static_cast<std::size_t>(k)];
    const int c = largest_null(node, k, i);
    const double x = static_cast<double>(node.column(c)[i]), y = static_cast<double>(node.column(c)[j]);
    if constexpr (!kInteger) {
      const double limit = null_limit(node);
      if (tol_ == 0 && !(std::abs(x) > limit && std::abs(y) > limit)) return exact_coefficient_sign(k, i, j) > 0;
    }
    return (x > 0) == (y > 0);
  }

  /// The node restricted to the subspace where the first functionals of the flag vanish, in floating point. Its dual
  /// columns are those of S, below row `end` at least.
  const Node<double>& cut(const Node<S>& node, int k, int level, int end) {
    if (loose_ && !everywhere_ && level + 1 < flags_) {
      const Node<double>* section = cut(node, k, level, end, false);
      if (section != nullptr) return *section;
    }
    return *cut(node, k, level, end, true);
  }

  /// Without coordinates null if the bounds are not sharp.
  const Node<double>* cut(const Node<S>& node, int k, int level, int end, bool coordinates) {
    const Node<double>* now = nullptr;
    if constexpr (kInteger) {
      now = &in_floating_point(node, k, sections_[1]);
    } else {
      now = &node;
    }
    Step<double>& step = section_step_;
    const int size = lanes_of_rows<double>(), length = size + (coordinates ? padded(r_, kLanes<double>) : 0);
    const int dual_end = everywhere_ ? size : padded(end, kLanes<double>);
    const int first_functional = kInteger ? size : first_other_;
    for (int g = 0; g < level; ++g) {
      Node<double>& next = sections_[static_cast<std::size_t>(g % 2)];
      step.nulls = r_ - k - g;
      for (int q = 0; q < r_; ++q) step.row[static_cast<std::size_t>(q)] = functional(*now, g, q);
      step.pivot = largest_entry(step.row.data(), step.nulls);
      if (!coordinates && !bound_loosely(step, *now, rows_.row_bound, next)) return nullptr;
      const double inverse = 1 / step.row[static_cast<std::size_t>(step.pivot)];
      const auto eliminate = [&](int first, int last, int begin, int end) {
        const auto update = [](Vec<double> old, Vec<double> factor, Vec<double> t) { return old - factor * t; };
        eliminate_columns(*now, step, inverse, update, first, last, begin, end, next);
      };
      eliminate(0, step.dual(), 0, length);
      eliminate(step.nulls, r_, first_functional, length);
      eliminate(r_ - k, r_, 0, std::min(dual_end, first_functional));
      if (coordinates) {
        coordinate_norms(next, next.norms);
        bound_closely(step, now->bounds, rows_.row_bound, next);
      }
      // A functional is summed from coordinates, which a lane is not.
      next.bounds.null_error += (r_ + 4) * kRoundoff * now->bounds.null_norm;
      next.bounds.dual_error += (r_ + 4) * kRoundoff * now->bounds.dual_norm_max;
      now = &next;
    }
    return now;
  }

  /// An integer node over its pivot.
  const Node<double>& in_floating_point(const Node<S>& node, int k, Node<double>& result) const {
    const int size = padded(n_, kLanes<double>), shift = size - size_;
    const double scale = 1 / node.pivot;
    for (int q = 0; q < r_; ++q) {
      const S* in = node.column(q);
      double* out = result.column(q);
      for (int j = 0; j < n_; ++j) out[j] = static_cast<double>(in[j]) * scale;
      for (int c = 0; c < r_; ++c) out[size + c] = static_cast<double>(in[size + c - shift]) * scale;
    }
    coordinate_norms(result, result.norms);
    NodeBounds& bounds = result.bounds;
    bounds = NodeBounds();
    take_norms(result.norms, r_ - k, r_, rows_.row_bound, bounds);
    bounds.null_error = 8 * kRoundoff * bounds.null_norm;
    bounds.dual_error = 8 * kRoundoff * bounds.dual_norm_max;
    bounds.reliable = r_ * bounds.dual_error <= 0.25;
    return result;
  }

  template <class T>
  double functional(const Node<T>& node, int g, int q) const {
    if (g < flags_) return static_cast<double>(node.column(q)[n_ + g]);
    const T* x = node.column(q) + node.lanes.rows() - padded(r_, kLanes<T>);
    const double* flag = flag_.data() + static_cast<Index>(g) * flag_.rows();
    Vec<double> sum{};
    for (int c = 0; c < r_; c += kLanes<double>) sum += load(flag + c) * load_double(x + c);
    return total<double>(sum);
  }

  const ArrangementRows& rows_;
  const double tol_;
  Pulse& pulse_;
  const int n_, r_, words_, size_;
  const int flags_, first_other_;  // functionals that are lanes n, n + 1, ..., and the first vector with more than rows
  // For masks alone sections have no coordinates, which only gates need, while bounds without them are sharp. Not with
  // many rows: these bounds decide where lines are walked along, and so the order of the cells.
  const bool loose_;
  bool everywhere_ = true;      // dual columns on all rows, which gates need; else on rows that may still be eliminated
  std::vector<Node<S>> nodes_;  // by number of elements
  std::array<Node<double>, 2> sections_;  // of a node by flag functionals
  LineVector<int> path_;                  // the elements, in decreasing order
  std::vector<int> members_;
  DeterminantFilter filter_;
  Step<S> step_;
  Step<double> section_step_;
  Matrix flag_;  // padded, one column a functional
};

}  // namespace cvxrelu
