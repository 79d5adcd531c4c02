#include "cvxrelu/arrangement_search.hpp"

#include <algorithm>
#include <type_traits>

#include "cvxrelu/arrangement_gate.hpp"
#include "cvxrelu/arrangement_leaf.hpp"
#include "cvxrelu/arrangement_node.hpp"
#include "cvxrelu/bits.hpp"

namespace cvxrelu {

namespace {

using Words = std::vector<Word>;

inline void set_bit(Word* mask, int j, bool value) {
  const Word bit = Word{1} << (j % 64);
  mask[j / 64] = value ? mask[j / 64] | bit : mask[j / 64] & ~bit;
}
inline bool get_bit(const Word* mask, int j) { return (mask[j / 64] >> (j % 64)) & 1; }

template <Arithmetic kArithmetic>
class Search final : public CellSearch {
  using S = std::conditional_t<kArithmetic == Arithmetic::kSingle, float, double>;
  static constexpr bool kInteger = kArithmetic != Arithmetic::kFloating;
  static constexpr Compare kCompare = !kInteger                          ? Compare::kBounded
                                      : kArithmetic == Arithmetic::kWide ? Compare::kWide
                                                                         : Compare::kInteger;

 public:
  Search(const ArrangementRows& rows, const SearchSettings& settings, Pulse& pulse)
      : rows_(rows),
        tol_(settings.tol),
        check_gates_(settings.check_gates),
        pulse_(pulse),
        n_(rows.n),
        r_(rows.rank),
        words_(static_cast<int>(words_for(rows.n))),
        size_(padded(rows.n, kLanes<S>)),
        check_(rows) {
    nodes_.resize(static_cast<std::size_t>(r_));
    for (auto& node : nodes_) prepare(node, size_);
    for (auto& node : sections_) prepare(node, padded(n_, kLanes<double>));
    const RowMatrix& entries = kInteger ? rows_.integers : rows_.scaled;
    Node<S>& root = nodes_[0];
    for (int k = 0; k < r_; ++k) {
      for (int j = 0; j < n_; ++j) root.lanes(j, k) = static_cast<S>(entries(j, k));
      root.lanes(size_ + k, k) = 1;
    }
    root.closure = rows_.zero;
    root.bounds.null_norm = rows_.row_bound;
    root.bounds.null_error = 1e-300;
    const auto padded_words = static_cast<std::size_t>(words_ + 1);
    for (Words* mask : {&outside_, &positive_, &small_, &dependent_, &dead_, &cell_, &flipped_, &chosen_}) {
      mask->assign(padded_words, 0);
    }
    members_.reserve(static_cast<std::size_t>(r_) + 1);
  }

  std::int64_t run(const SearchTask& task, CellOutput output) override {
    output_ = output;
    written_ = 0;
    // Nodes of the previous task that lie on the way to this one are still there.
    std::size_t shared = 0;
    while (shared < path_.size() && shared < task.prefix.size() && path_[shared] == task.prefix[shared]) ++shared;
    path_.resize(shared);
    bool alive = true;
    for (std::size_t k = shared; k < task.prefix.size() && alive; ++k) {
      alive = extend(static_cast<int>(k), task.prefix[k]);
      if (alive) path_.push_back(task.prefix[k]);
    }
    if (alive) {
      const int k = static_cast<int>(task.prefix.size());
      if (k == 0 && r_ % 2 == 1) axis_cell();
      const int end = k == 0 ? n_ : task.prefix.back();
      if (task.subtree) {
        descend(k, end);
      } else {
        leaves(k, end);
      }
      path_.resize(task.prefix.size());
    }
    counts.pairs += written_;
    counts.exact_gate_signs = check_.exact_signs;
    return written_;
  }

  bool is_candidate(int row) override {
    path_.clear();
    return r_ > 1 ? extend(0, row) : true;
  }

 private:
  template <class T>
  void prepare(Node<T>& node, int size) {
    node.lanes.setZero(size + padded(r_, kLanes<T>), r_);
    for (Words* mask : {&node.closure, &node.positive, &node.negative}) {
      mask->assign(static_cast<std::size_t>(words_), 0);
    }
  }

  void descend(int k, int end) {
    leaves(k, end);
    if (k >= r_ - 2) return;
    // The next cells below come from a set with one or two more elements than s.
    const int least = (r_ - 3 - k) % 2 == 0 ? 1 : 2;
    for (int s = end - 1; s >= least; --s) {
      if (get_bit(nodes_[static_cast<std::size_t>(k)].closure.data(), s) || !extend(k, s)) continue;
      path_.push_back(s);
      descend(k + 1, s);
      path_.pop_back();
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

  /// Eliminates row s from node k into node k + 1; false when S + s contains a broken circuit.
  bool extend(int k, int s) {
    pulse_.beat();
    const Node<S>& from = nodes_[static_cast<std::size_t>(k)];
    Node<S>& to = nodes_[static_cast<std::size_t>(k + 1)];
    Step<S>& step = step_;
    step.nulls = r_ - k;
    step.row.resize(static_cast<std::size_t>(r_));
    for (int q = 0; q < r_; ++q) step.row[static_cast<std::size_t>(q)] = from.column(q)[s];
    step.pivot = pivot_column(step);
    if (step.pivot < 0) return false;
    const S pivot = step.row[static_cast<std::size_t>(step.pivot)];
    const S sign = kInteger ? (pivot < 0 ? S(-1) : S(1)) : 1 / pivot;
    to.pivot = kInteger ? static_cast<double>(std::abs(pivot)) : 1;
    const auto divisor = static_cast<S>(from.pivot);
    const Update update{broadcast(std::abs(pivot)), broadcast(divisor), broadcast(1 / divisor)};
    const S* source = from.column(step.pivot);
    S* dual = to.column(step.dual());
    const int coordinates = padded(r_, kLanes<S>);

    const auto eliminate = [&](int q, int begin, int end) {
      const Vec<S> factor = broadcast(step.row[static_cast<std::size_t>(q)]);
      const S* in = from.column(q);
      S* out = to.column(step.destination(q));
      for (int j = begin; j < end; j += kLanes<S>) store(out + j, update(load(in + j), factor, load(dual + j)));
    };
    for (int j = size_; j < size_ + coordinates; j += kLanes<S>) store(dual + j, load(source + j) * broadcast(sign));
    for (int q = 0; q < r_; ++q) {
      if (q != step.pivot) eliminate(q, size_, size_ + coordinates);
    }
    if constexpr (!kInteger) {
      norms_.resize(static_cast<std::size_t>(r_));
      for (int q = 0; q < r_; ++q) norms_[static_cast<std::size_t>(q)] = 1.001 * coordinate_norm(to, q);
      update_bounds(step, from.bounds, rows_.row_bound, norms_, to.bounds);
    }

    const Vec<S> limit = broadcast(null_limit(to));
    Words& closure = to.closure;
    for (int w = 0; w < words_; ++w) {
      Word small = 0;
      const int stop = std::min(size_, 64 * w + 64);
      for (int j = 64 * w; j < stop; j += kLanes<S>) {
        const Vec<S> t = load(source + j) * broadcast(sign);
        store(dual + j, t);
        Vec<S> largest{};
        for (int q = 0; q < step.nulls; ++q) {
          if (q == step.pivot) continue;
          const Vec<S> x = update(load(from.column(q) + j), broadcast(step.row[static_cast<std::size_t>(q)]), t);
          store(to.column(step.destination(q)) + j, x);
          largest = maximum(largest, absolute<S>(x));
        }
        small |= static_cast<Word>(~less_bits(limit, largest) & kAllLanes<S>) << (j % 64);
      }
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
        if (inside & ((Word{1} << (s % 64)) - 1)) return false;
        inside |= Word{1} << (s % 64);
      } else if (w < s / 64 && inside != 0) {
        return false;
      }
      to.positive[static_cast<std::size_t>(w)] = inside;
      closure[static_cast<std::size_t>(w)] = from.closure[static_cast<std::size_t>(w)] | inside;
    }
    for (int q = step.nulls; q < r_; ++q) eliminate(q, 0, size_);
    sort_by_coefficient(k, s, dual, to);
    return true;
  }

  S null_limit(const Node<S>& node) const {
    if constexpr (kInteger) {
      return S(0.5);
    } else {
      return tol_ > 0 ? tol_ * node.bounds.null_norm : node.bounds.null_threshold();
    }
  }

  /// Integer kinds take the smallest pivot, which keeps numbers small; floating point the largest.
  int pivot_column(const Step<S>& step) const {
    int best = -1;
    for (int q = 0; q < step.nulls; ++q) {
      const S value = std::abs(step.row[static_cast<std::size_t>(q)]);
      if (value == 0) continue;
      const S current = best < 0 ? S(0) : std::abs(step.row[static_cast<std::size_t>(best)]);
      if (best < 0 || (kInteger ? value < current : value > current)) best = q;
    }
    if (!kInteger && best < 0) best = 0;  // an independent row whose values have all vanished: unreliable from here
    return best;
  }

  template <class T>
  double coordinate_norm(const Node<T>& node, int q) const {
    const int begin = static_cast<int>(node.lanes.rows()) - padded(r_, kLanes<T>);
    double square = 0;
    for (int c = 0; c < r_; ++c) square += static_cast<double>(node.column(q)[begin + c]) * node.column(q)[begin + c];
    return std::sqrt(square);
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

  bool exactly_independent(int k, int i, int j) {
    ++counts.exact_decisions;
    members(k, i);
    members_.push_back(j);
    return rows_.exact->independent(members_);
  }

  int determinant_sign(std::vector<int> rows) {
    ++counts.exact_decisions;
    const int sign = rows_.exact->determinant_sign(rows);
    if (sign == 0) throw FlagNotGeneric();
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

  // ---- leaves ----

  /// All cells whose set is that of node k and one more, smaller element.
  void leaves(int k, int end) {
    const int level = r_ - 2 - k;
    if (level < 0 || level % 2 != 0) return;
    const Node<S>& node = nodes_[static_cast<std::size_t>(k)];
    if (level == 0) {
      LeafView<S> view;
      fill_view(node, k, 0, 0, view);
      scan<S, kCompare>(view, k, end);
    } else {
      const Node<double>& section = cut(node, k, level);
      LeafView<double> view;
      fill_view(section, k, level, 1, view);
      scan<double, Compare::kBounded>(view, k, end);
    }
  }

  /// The node restricted to the subspace where the first functionals of the flag vanish, in floating point.
  const Node<double>& cut(const Node<S>& node, int k, int level) {
    int current = 0;
    Node<double>* now = &sections_[0];
    const int size = padded(n_, kLanes<double>), shift = size - size_;
    const double scale = 1 / node.pivot;
    now->bounds = node.bounds;
    if constexpr (kInteger) {
      now->bounds = NodeBounds();
      double null_norm = 0;
      for (int q = 0; q < r_; ++q) {
        const double norm = 1.001 * rows_.row_bound * scale * coordinate_norm(node, q);
        if (q < r_ - k) {
          null_norm = std::max(null_norm, norm);
        } else {
          now->bounds.dual_norm_sum += norm;
          now->bounds.dual_norm_max = std::max(now->bounds.dual_norm_max, norm);
        }
      }
      now->bounds.null_norm = null_norm;
      now->bounds.null_error = 8 * kRoundoff * null_norm;
      now->bounds.dual_error = 8 * kRoundoff * now->bounds.dual_norm_max;
      now->bounds.reliable = r_ * now->bounds.dual_error <= 0.25;
    }
    for (int q = 0; q < r_; ++q) {
      const S* in = node.column(q);
      double* out = now->column(q);
      for (int j = 0; j < n_; ++j) out[j] = static_cast<double>(in[j]) * scale;
      for (int c = 0; c < r_; ++c) out[size + c] = static_cast<double>(in[size + c - shift]) * scale;
    }
    Step<double> step;
    norms_.resize(static_cast<std::size_t>(r_));
    for (int g = 0; g < level; ++g) {
      Node<double>& next = sections_[static_cast<std::size_t>(1 - current)];
      step.nulls = r_ - k - g;
      step.row.resize(static_cast<std::size_t>(r_));
      for (int q = 0; q < r_; ++q) step.row[static_cast<std::size_t>(q)] = functional(*now, g, q);
      step.pivot = 0;
      for (int q = 1; q < step.nulls; ++q) {
        if (std::abs(step.row[static_cast<std::size_t>(q)]) >
            std::abs(step.row[static_cast<std::size_t>(step.pivot)])) {
          step.pivot = q;
        }
      }
      const int length = static_cast<int>(now->lanes.rows());
      const Vec<double> inverse = broadcast(1 / step.row[static_cast<std::size_t>(step.pivot)]);
      const double* source = now->column(step.pivot);
      double* dual = next.column(step.dual());
      for (int j = 0; j < length; j += kLanes<double>) store(dual + j, load(source + j) * inverse);
      for (int q = 0; q < r_; ++q) {
        if (q == step.pivot) continue;
        const Vec<double> factor = broadcast(step.row[static_cast<std::size_t>(q)]);
        const double* in = now->column(q);
        double* out = next.column(step.destination(q));
        for (int j = 0; j < length; j += kLanes<double>) store(out + j, load(in + j) - factor * load(dual + j));
      }
      for (int q = 0; q < r_; ++q) norms_[static_cast<std::size_t>(q)] = 1.001 * coordinate_norm(next, q);
      update_bounds(step, now->bounds, rows_.row_bound, norms_, next.bounds);
      // A functional is summed from coordinates, which a lane is not.
      next.bounds.null_error += (r_ + 4) * kRoundoff * now->bounds.null_norm;
      next.bounds.dual_error += (r_ + 4) * kRoundoff * now->bounds.dual_norm_max;
      current = 1 - current;
      now = &next;
    }
    return *now;
  }

  template <class T>
  double functional(const Node<T>& node, int g, int q) const {
    const T* x = node.column(q) + node.lanes.rows() - padded(r_, kLanes<T>);
    double sum = 0;
    for (int c = 0; c < r_; ++c) sum += rows_.flag(g, c) * static_cast<double>(x[c]);
    return sum;
  }

  /// `floating`: the lanes have the error bounds of the node; else they are exact integers.
  template <class L>
  void fill_view(const Node<L>& node, int k, int level, bool floating, LeafView<L>& view) {
    floating = floating || !kInteger;
    view.e1 = node.column(0);
    view.e2 = node.column(1);
    view.size = k;
    view.level = level;
    view.pivot = floating ? 1 : node.pivot;
    for (int l = 0; l < k; ++l) view.dual[static_cast<std::size_t>(l)] = node.column(r_ - 1 - l);
    const double g1 = functional(node, level, 0), h1 = functional(node, level + 1, 0);
    const double g2 = functional(node, level, 1), h2 = functional(node, level + 1, 1);
    const double u = kRoundoff, rounding = (16 + 4 * r_) * u;
    NodeBounds bounds = node.bounds;
    if (!floating) bounds = NodeBounds();
    const double R = rows_.row_bound, x = 1.001 * std::max(coordinate_norm(node, 0), coordinate_norm(node, 1));
    const double null_error = bounds.null_threshold(), dual_error = bounds.dual_threshold();
    view.omega = g1 * h2 - h1 * g2;
    view.omega_error = 4 * x * null_error / R + 2 * rounding * x * x;
    for (int l = 0; l < k; ++l) {
      const auto at = static_cast<std::size_t>(l);
      const double g = functional(node, level, r_ - 1 - l), h = functional(node, level + 1, r_ - 1 - l);
      view.alpha[at] = g2 * h - h2 * g;
      view.beta[at] = g1 * h - h1 * g;
      const double t = 1.001 * coordinate_norm(node, r_ - 1 - l);
      view.lambda_error[at] = 6 * (2 * x * t * null_error + x * x * dual_error + rounding * R * x * x * t);
      if (tol_ > 0) view.lambda_error[at] = 0;
    }
    view.norm = R * x;
    if (tol_ > 0) {
      view.fine = tol_ * view.norm;
      view.omega_error = 0;
    } else if (floating) {
      view.coarse = bounds.reliable ? 2.7 * bounds.null_error * (1 + bounds.dual_norm_sum)
                                    : std::numeric_limits<double>::infinity();
      view.fine = 8 * u * view.norm;
      // The duals of S + i must be good to 1/4 as well: (r + 1) (E_T + (1 + max ||T||) E / M) <= 1/4.
      view.least = (r_ + 1) * (1 + bounds.dual_norm_max) * bounds.null_error /
                   std::max(0.25 - (r_ + 1) * bounds.dual_error, 1e-300);
    }
  }

  template <class L, Compare kKind>
  void scan(const LeafView<L>& view, int k, int end) {
    if (words_ == 1) {
      scan_words<L, kKind, 1>(view, k, end);
    } else {
      scan_words<L, kKind, 0>(view, k, end);
    }
  }

  template <class L, Compare kKind, int kWords>
  void scan_words(const LeafView<L>& view, int k, int end) {
    const int words = kWords > 0 ? kWords : words_;
    const int size = padded(n_, kLanes<L>);
    const Node<S>& node = nodes_[static_cast<std::size_t>(k)];
    for (int w = 0; w < words; ++w) {
      outside_[static_cast<std::size_t>(w)] =
          rows_.all[static_cast<std::size_t>(w)] & ~node.closure[static_cast<std::size_t>(w)];
      dead_[static_cast<std::size_t>(w)] = 0;
    }
    const bool certain = std::abs(view.omega) > view.omega_error;
    const bool last_positive = view.omega < 0;
    const bool want_gates = output_.gates != nullptr;
    L* values = want_gates ? scratch<L>(0) : nullptr;
    std::array<std::uint32_t, ArrangementRows::kMaxRank> lambda;
    for (int block = 0; block < end; block += kLanes<double>) {
      pulse_.beat();
      const std::uint32_t undecided = lambda_signs(view, block, lambda);
      const int stop = std::min(end, block + kLanes<double>);
      for (int i = block; i < stop; ++i) {
        if (get_bit(dead_.data(), i) || !get_bit(outside_.data(), i)) continue;
        const L a = view.e1[i], b = view.e2[i];
        const L threshold = kKind == Compare::kBounded ? static_cast<L>(view.threshold(a, b)) : L(0.5);
        if (want_gates) {
          scan_rows<L, kKind, true>(view, a, b, threshold, size, positive_.data(), small_.data(), values);
        } else {
          scan_rows<L, kKind, false>(view, a, b, threshold, size, positive_.data(), small_.data(), values);
        }
        bool degenerate = false, open = false;
        for (int w = 0; w < words; ++w) {
          const auto at = static_cast<std::size_t>(w);
          Word small = small_[at];
          if (kKind == Compare::kBounded && !certain) small = ~Word{0};
          small &= outside_[at];
          if (w == i / 64) small &= ~(Word{1} << (i % 64));
          dependent_[at] = kKind == Compare::kBounded ? 0 : small;
          small_[at] = small;
          degenerate = degenerate || small != 0;
          cell_[at] = positive_[at] & outside_[at];
        }
        const int bit = i - block;
        open = !certain || ((undecided >> bit) & 1);
        bool last = last_positive;
        int orientation = 0;
        const auto orient = [&] {
          if (orientation != 0) return;
          const int exact = exact_lambda_sign(k, view.level, i, k);
          if (certain) {
            orientation = last_positive ? exact : -exact;
          } else {
            orientation = kKind == Compare::kBounded ? 1 : lane_orientation(k, view.level, i, words);
            last = orientation * exact > 0;
          }
        };
        if (!certain) orient();
        if (kKind == Compare::kBounded && degenerate) resolve(view, k, i, words, orient, orientation);
        if (open) {
          orient();
          for (int l = 0; l < k; ++l) {
            const bool plus = orientation * exact_lambda_sign(k, view.level, i, l) > 0;
            auto& bits = lambda[static_cast<std::size_t>(l)];
            bits = plus ? bits | (1u << bit) : bits & ~(1u << bit);
          }
        }
        set_bit(cell_.data(), i, last);
        bool repeated = false;
        for (int w = 0; w < words && degenerate; ++w) {
          for (Word rest = dependent_[static_cast<std::size_t>(w)]; rest != 0; rest &= rest - 1) {
            const int j = 64 * w + __builtin_ctzll(rest);
            const bool same = kKind == Compare::kBounded ? same_side(k, i, j) : (view.e1[j] * a + view.e2[j] * b > 0);
            set_bit(cell_.data(), j, same == last);
            repeated = true;
          }
          dead_[static_cast<std::size_t>(w)] |= dependent_[static_cast<std::size_t>(w)];
        }
        for (int l = 0; l < k; ++l) {
          const Node<S>& entry = nodes_[static_cast<std::size_t>(l + 1)];
          const Word plus = -static_cast<Word>((lambda[static_cast<std::size_t>(l)] >> bit) & 1);
          for (int w = 0; w < words; ++w) {
            const auto at = static_cast<std::size_t>(w);
            cell_[at] |= (entry.positive[at] & plus) | (entry.negative[at] & ~plus);
          }
        }
        emit<L, kKind>(view, k, i, words, last, lambda, bit, repeated);
      }
    }
  }

  /// How the exact lanes of the ray are oriented against its determinants.
  int lane_orientation(int k, int level, int i, int words) {
    for (int w = 0; w < words; ++w) {
      const auto at = static_cast<std::size_t>(w);
      Word sure = outside_[at] & ~dependent_[at];
      if (w == i / 64) sure &= ~(Word{1} << (i % 64));
      if (sure == 0) continue;
      const int j = 64 * w + __builtin_ctzll(sure);
      return exact_row_sign(k, level, i, j) * (get_bit(positive_.data(), j) ? 1 : -1);
    }
    return 1;  // unreachable: S + i has rank r - 1, so some row is outside its span
  }

  /// Decides the rows that floating point left open at element i, exactly.
  template <class L, class Orient>
  void resolve(const LeafView<L>& view, int k, int i, int words, const Orient& orient, const int& orientation) {
    for (int w = 0; w < words; ++w) {
      for (Word rest = small_[static_cast<std::size_t>(w)]; rest != 0; rest &= rest - 1) {
        const int j = 64 * w + __builtin_ctzll(rest);
        if (in_span(k, i, j)) {
          dependent_[static_cast<std::size_t>(w)] |= rest & -rest;
          set_bit(cell_.data(), j, false);
        } else {
          orient();
          set_bit(cell_.data(), j, orientation * exact_row_sign(k, view.level, i, j) > 0);
        }
      }
    }
  }

  // ---- output ----

  template <class L, Compare kKind>
  void emit(const LeafView<L>& view, int k, int i, int words, bool last,
            const std::array<std::uint32_t, ArrangementRows::kMaxRank>& lambda, int bit, bool repeated) {
    const std::int64_t pair = written_++;
    if (output_.words == nullptr) return;
    const bool flip = store_masks(pair, words);
    if (output_.gates == nullptr) return;
    double gate[ArrangementRows::kMaxRank];
    interior_point<L, kKind>(view, k, i, last, lambda, bit, repeated, gate);
    finish_gate(pair, flip, gate, [&] { return ray_cell(k, i, view.level); });
  }

  /// Writes the cell with first bit 1 and its antipode; returns whether `cell_` was the antipode.
  bool store_masks(std::int64_t pair, int words) {
    const Word flip = get_bit(cell_.data(), rows_.first_nonzero) ? 0 : ~Word{0};
    Word* out = output_.words + 2 * pair * words;
    for (int w = 0; w < words; ++w) {
      const auto at = static_cast<std::size_t>(w);
      const Word cell = (cell_[at] ^ flip) & rows_.all[at];
      out[w] = cell | rows_.zero[at];
      out[words + w] = (cell ^ rows_.all[at]) | rows_.zero[at];
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

  template <class Describe>
  void finish_gate(std::int64_t pair, bool flip, double* gate, const Describe& describe) {
    double square = 0;
    for (int c = 0; c < r_; ++c) square += gate[c] * gate[c];
    const double scale = (flip ? -1 : 1) / std::sqrt(square);
    for (int c = 0; c < r_; ++c) gate[c] *= scale;
    const Word* mask = output_.words + 2 * pair * words_;
    if (check_gates_) {
      bool inside = check_.inside(gate, mask);
      if (!inside && check_.repair(describe(), mask, gate)) {
        inside = true;
        ++counts.repaired;
      }
      counts.verified += inside;
    }
    double* out = output_.gates + 2 * pair * rows_.n_features;
    std::fill_n(out, 2 * rows_.n_features, 0.0);
    for (int c = 0; c < r_; ++c) {
      const auto at = static_cast<std::size_t>(c);
      const double value = plain_columns_ ? gate[c] : std::ldexp(gate[c], -rows_.column_exponent[at]);
      out[rows_.columns[at]] = value;
      out[rows_.n_features + rows_.columns[at]] = -value;
    }
  }

  /// A point of the cell: from the ray into the cell, half the way to the next hyperplane.
  template <class L, Compare kKind>
  void interior_point(const LeafView<L>& view, int k, int i, bool last,
                      const std::array<std::uint32_t, ArrangementRows::kMaxRank>& lambda, int bit, bool repeated,
                      double* gate) {
    const int size = padded(n_, kLanes<L>), length = size + padded(r_, kLanes<L>);
    const Node<S>& node = nodes_[static_cast<std::size_t>(k)];
    L* values = scratch<L>(0);
    L* direction = scratch<L>(1);
    const L a = view.e1[i], b = view.e2[i];
    const bool first = std::abs(a) >= std::abs(b);
    const L* own = first ? view.e1 : view.e2;
    const L inverse = 1 / (first ? a : b);
    const L pivot = static_cast<L>(view.pivot);
    const Vec<L> A = broadcast(a), B = broadcast(b);
    for (int j = size; j < length; j += kLanes<L>) store(values + j, A * load(view.e2 + j) - B * load(view.e1 + j));

    bool nested = repeated;
    int elements = 0;
    for (int w = 0; w < words_; ++w) {
      const auto at = static_cast<std::size_t>(w);
      elements += __builtin_popcountll(node.closure[at] & ~rows_.zero[at]);
      chosen_[at] = outside_[at] & ~dependent_[at];
    }
    set_bit(chosen_.data(), i, false);
    nested = nested || elements > k;
    if (!nested) {
      L own_factor = last ? pivot : -pivot;
      std::array<L, ArrangementRows::kMaxRank> sign{};
      for (int l = 0; l < k; ++l) {
        const auto at = static_cast<std::size_t>(l);
        sign[at] = (lambda[at] >> bit) & 1 ? L(1) : L(-1);
        own_factor -= sign[at] * view.dual[at][i];
      }
      own_factor *= inverse;
      for (int j = 0; j < length; j += kLanes<L>) {
        Vec<L> sum = broadcast(own_factor) * load(own + j);
        for (int l = 0; l < k; ++l) {
          const auto at = static_cast<std::size_t>(l);
          sum += broadcast(sign[at]) * load(view.dual[at] + j);
        }
        store(direction + j, sum);
      }
    } else {
      nested_direction(view, k, i, last, lambda, bit, own, inverse, direction, length);
    }
    double step = 0.5 * static_cast<double>(reach(values, direction, size, chosen_.data()));
    double value_square = 0, direction_square = 0;
    for (int c = 0; c < r_; ++c) {
      value_square += static_cast<double>(values[size + c]) * values[size + c];
      direction_square += static_cast<double>(direction[size + c]) * direction[size + c];
    }
    if (direction_square > 0) step = std::min(step, std::sqrt(value_square / direction_square));
    for (int c = 0; c < r_; ++c) {
      gate[c] = static_cast<double>(values[size + c]) + step * static_cast<double>(direction[size + c]);
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
    for (int l = k - 1; l >= 0; --l) {
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

  /// In odd rank: the cell that contains the line where all functionals but the last vanish.
  void axis_cell() {
    ++written_;
    if (output_.words == nullptr) return;
    const Node<double>& line = cut(nodes_[0], 0, r_ - 1);
    const double limit = line.bounds.null_threshold();
    const double* values = line.column(0);
    std::vector<int> rows(static_cast<std::size_t>(r_));
    for (int q = 0; q + 1 < r_; ++q) rows[static_cast<std::size_t>(q)] = n_ + q;
    int orientation = 0;
    for (int j = 0; j < n_; ++j) {
      if (!get_bit(rows_.all.data(), j)) continue;
      bool plus = values[j] > 0;
      if (!(std::abs(values[j]) > limit) && tol_ == 0) {
        if (orientation == 0) {
          int surest = 0;
          for (int m = 1; m < n_; ++m) surest = std::abs(values[m]) > std::abs(values[surest]) ? m : surest;
          rows.back() = surest;
          orientation = determinant_sign(rows) * (values[surest] > 0 ? 1 : -1);
        }
        rows.back() = j;
        plus = orientation * determinant_sign(rows) > 0;
      }
      set_bit(cell_.data(), j, plus);
    }
    const bool flip = store_masks(0, words_);
    if (output_.gates == nullptr) return;
    double gate[ArrangementRows::kMaxRank];
    std::copy_n(values + padded(n_, kLanes<double>), r_, gate);
    finish_gate(0, flip, gate, [&] { return RayCell{{}, r_ - 1, std::vector<int>(static_cast<std::size_t>(n_), 0)}; });
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
    const int length = padded(n_, kLanes<L>) + padded(r_, kLanes<L>);
    if (buffer.size() == 0) buffer.setZero(length, 3);
    return buffer.data() + static_cast<Index>(which) * length;
  }

  const ArrangementRows& rows_;
  const double tol_;
  const bool check_gates_;
  Pulse& pulse_;
  const int n_, r_, words_, size_;
  GateCheck check_;
  std::vector<Node<S>> nodes_;  // by number of elements
  std::array<Node<double>, 2> sections_;
  std::vector<int> path_, members_;
  Step<S> step_;
  std::vector<double> norms_;
  Words outside_, positive_, small_, dependent_, dead_, cell_, flipped_, chosen_;
  Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic> single_scratch_;
  Matrix double_scratch_;
  CellOutput output_;
  std::int64_t written_ = 0;
  const bool plain_columns_ = std::all_of(rows_.column_exponent.begin(), rows_.column_exponent.end(),
                                          [](int exponent) { return exponent == 0; });
};

}  // namespace

std::unique_ptr<CellSearch> make_search(const ArrangementRows& rows, const SearchSettings& settings, Pulse& pulse) {
  switch (settings.tol > 0 ? Arithmetic::kFloating : rows.arithmetic) {
    case Arithmetic::kSingle:
      return std::make_unique<Search<Arithmetic::kSingle>>(rows, settings, pulse);
    case Arithmetic::kDouble:
      return std::make_unique<Search<Arithmetic::kDouble>>(rows, settings, pulse);
    case Arithmetic::kWide:
      return std::make_unique<Search<Arithmetic::kWide>>(rows, settings, pulse);
    case Arithmetic::kFloating:
      break;
  }
  return std::make_unique<Search<Arithmetic::kFloating>>(rows, settings, pulse);
}

}  // namespace cvxrelu
