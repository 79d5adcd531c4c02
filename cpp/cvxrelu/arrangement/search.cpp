#include "cvxrelu/arrangement/search.hpp"

#include <algorithm>
#include <type_traits>

#include "cvxrelu/arrangement/last_pairs.hpp"

namespace cvxrelu {

namespace {

template <Arithmetic kArithmetic>
class Search final : public LastPairs<kArithmetic> {
  using Base = LastPairs<kArithmetic>;
  using Base::base_, Base::free_, Base::first_free_, Base::outside_, Base::dependent_, Base::cell_, Base::lowest_,
      Base::turning_;
  using Base::begin_pairs, Base::pairs;
  using Base::extend, Base::determinant_sign, Base::exact_row_sign, Base::exact_lambda_sign;
  using Base::in_span, Base::same_side, Base::coordinate_norms, Base::functional, Base::cut;
  using Base::kInteger, Base::rows_, Base::tol_, Base::pulse_, Base::n_, Base::r_, Base::words_;
  using Base::nodes_, Base::path_, Base::everywhere_, Base::counts, Base::output_, Base::first_pair_, Base::check_;
  using Base::store_masks, Base::finish_gate, Base::split_span, Base::kManyRows;
  using typename Base::S;
  static constexpr Compare kCompare = !kInteger                          ? Compare::kBounded
                                      : kArithmetic == Arithmetic::kWide ? Compare::kWide
                                                                         : Compare::kInteger;

 public:
  Search(const ArrangementRows& rows, const SearchSettings& settings, Pulse& pulse) : Base(rows, settings, pulse) {
    const auto& skip = settings.skip.empty() ? rows.zero : settings.skip;
    skip_.assign(skip.begin(), skip.end());
    const auto padded_words = static_cast<std::size_t>(words_ + 1);
    for (Words* mask : {&positive_, &small_, &dead_}) mask->assign(padded_words, 0);
    norms_.assign(static_cast<std::size_t>(r_), 0);
  }

  std::int64_t run(const SearchTask& task, CellOutput output) override {
    const std::vector<int>& prefix = task.prefix;
    if (!broken_.empty() && broken_.size() <= prefix.size() &&
        std::equal(broken_.begin(), broken_.end(), prefix.begin())) {
      return 0;
    }
    output_ = output;
    first_pair_ = counts.pairs;
    // Nodes of the previous task that lie on the way to this one are still there.
    const auto base = static_cast<std::size_t>(base_);
    if (everywhere_ != (output.gates != nullptr)) {
      path_.resize(base);
      everywhere_ = !everywhere_;
    }
    std::size_t shared = 0;
    while (base + shared < path_.size() && shared < prefix.size() && path_[base + shared] == prefix[shared]) {
      ++shared;
    }
    path_.resize(base + shared);
    bool alive = true;
    for (std::size_t k = shared; k < prefix.size() && alive; ++k) {
      alive = extend(static_cast<int>(base + k), prefix[k]);
      if (alive) {
        path_.push_back(prefix[k]);
      } else {
        broken_.assign(prefix.begin(), prefix.begin() + static_cast<std::ptrdiff_t>(k) + 1);
      }
    }
    if (alive) {
      const int k = static_cast<int>(base + prefix.size());
      if (k == base_ && (r_ - base_) % 2 == 1) axis_cell();
      count_set(k, prefix.empty() ? -1 : prefix.back());
      const int end = prefix.empty() ? n_ : prefix.back();
      if (task.subtree) {
        descend(k, end);
      } else {
        leaves(k, end);
      }
      path_.resize(base + prefix.size());
    }
    counts.exact_gate_signs = check_.exact_signs;
    return counts.pairs - first_pair_;
  }

  bool is_candidate(int row) override {
    path_.resize(static_cast<std::size_t>(base_));
    if (!get_bit(free_.data(), row)) return false;
    return r_ - base_ > 1 ? extend(base_, row) : row == first_free_;
  }

 private:
  /// Notes the set of node k with this last element, if leaves do not count sets of its size.
  void count_set(int k, int last) {
    if ((r_ - k) % 2 == 0 && k < r_ && last != first_free_) ++counts.sets[static_cast<std::size_t>(k)];
  }

  void descend(int k, int end) {
    leaves(k, end);
    if (k >= r_ - 2) return;
    // The next cells below come from a set with one or two more elements than s.
    const int least = (r_ - 3 - k) % 2 == 0 ? 1 : 2;
    const bool at_once = begin_pairs(k, end);
    for (int s = end - 1; s >= least; --s) {
      if (get_bit(skip_.data(), s)) continue;
      if (at_once && pairs(k, s)) {
        count_set(k + 1, s);
        continue;
      }
      if (!extend(k, s)) continue;
      count_set(k + 1, s);
      path_.push_back(s);
      descend(k + 1, s);
      path_.pop_back();
    }
  }

  // ---- leaves ----

  /// All cells whose set is that of node k and one more, smaller element.
  void leaves(int k, int end) {
    const int level = r_ - 2 - k;
    if (level < 0 || level % 2 != 0) return;
    const Node<S>& node = nodes_[static_cast<std::size_t>(k)];
    const std::int64_t before = counts.pairs;
    if (level == 0) {
      LeafView<S> view;
      fill_view(node, k, 0, 0, view);
      scan<S, kCompare>(view, k, end);
    } else {
      const Node<double>& section = cut(node, k, level, end);
      LeafView<double> view;
      fill_view(section, k, level, 1, view);
      scan<double, Compare::kBounded>(view, k, end);
    }
    counts.sets[static_cast<std::size_t>(k + 1)] += counts.pairs - before;
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
    if (!floating) coordinate_norms(node, norms_);
    const LineVector<double>& norms = floating ? node.norms : norms_;
    const double x = std::max(norms[0], norms[1]);
    view.bounds.set(floating ? node.bounds : NodeBounds(), x, r_, rows_.row_bound);
    if (tol_ > 0) {
      view.bounds = LeafBounds();
      view.bounds.norm = rows_.row_bound * x;
      view.bounds.fine = tol_ * view.bounds.norm;
    }
    view.omega = g1 * h2 - h1 * g2;
    for (int l = 0; l < k; ++l) {
      const auto at = static_cast<std::size_t>(l);
      const double g = functional(node, level, r_ - 1 - l), h = functional(node, level + 1, r_ - 1 - l);
      view.alpha[at] = g2 * h - h2 * g;
      view.beta[at] = g1 * h - h1 * g;
      view.lambda_error[at] =
          view.bounds.lambda_scale * norms[static_cast<std::size_t>(r_ - 1 - l)] + view.bounds.lambda_shift;
    }
  }

  template <class L, Compare kKind>
  void scan(const LeafView<L>& view, int k, int end) {
    if (n_ >= kManyRows && tol_ == 0 && std::abs(view.omega) > view.bounds.omega_error) {
      this->template walk<L, kKind>(view, k, end);
    } else if (words_ == 1) {
      scan_words<L, kKind, 1>(view, k, end);
    } else {
      scan_words<L, kKind, 0>(view, k, end);
    }
  }

  template <class L, Compare kKind, int kWords>
  void scan_words(const LeafView<L>& view, int k, int end) {
    const int words = kWords > 0 ? kWords : words_;
    const int size = padded(n_, kLanes<L>);
    Word *positive = positive_.data(), *small = small_.data(), *outside = outside_.data(), *cell = cell_.data();
    split_span(k);
    std::fill(dead_.begin(), dead_.end(), 0);
    const bool certain = std::abs(view.omega) > view.bounds.omega_error;
    const bool last_positive = view.omega < 0;
    const bool want_gates = output_.gates != nullptr;
    L* values = want_gates ? this->template scratch<L>(0) : nullptr;
    std::array<std::uint32_t, ArrangementRows::kMaxRank> lambda;
    std::array<L, kLanes<double>> threshold;
    threshold.fill(L(0.5));
    for (int block = 0; block < end; block += kLanes<double>) {
      pulse_.beat(counts.pairs, 1);
      const std::uint32_t undecided = lambda_signs(view, block, lambda);
      if constexpr (kKind == Compare::kBounded) view.thresholds(block, threshold.data());
      const int stop = std::min(end, block + kLanes<double>);
      for (int i = block; i < stop; ++i) {
        if (get_bit(dead_.data(), i) || !get_bit(outside, i)) continue;
        const int bit = i - block;
        const L a = view.e1[i], b = view.e2[i], limit = threshold[static_cast<std::size_t>(bit)];
        if (want_gates) {
          scan_rows<L, kKind, true>(view, a, b, limit, size, positive, small, values);
        } else {
          scan_rows<L, kKind, false>(view, a, b, limit, size, positive, small, values);
        }
        bool degenerate = false, open = false;
        for (int w = 0; w < words; ++w) {
          Word near = kKind == Compare::kBounded && !certain ? ~Word{0} : small[w];
          near &= outside[w];
          if (w == i / 64) near &= ~(Word{1} << (i % 64));
          dependent_[static_cast<std::size_t>(w)] = kKind == Compare::kBounded ? 0 : near;
          small[w] = near;
          degenerate = degenerate || near != 0;
          cell[w] = positive[w] & outside[w];
        }
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
        set_bit(cell, i, last);
        bool repeated = false;
        for (int w = 0; w < words && degenerate; ++w) {
          for (Word rest = dependent_[static_cast<std::size_t>(w)]; rest != 0; rest &= rest - 1) {
            const int j = 64 * w + __builtin_ctzll(rest);
            const bool same = kKind == Compare::kBounded ? same_side(k, i, j) : (view.e1[j] * a + view.e2[j] * b > 0);
            set_bit(cell, j, same == last);
            repeated = true;
          }
          dead_[static_cast<std::size_t>(w)] |= dependent_[static_cast<std::size_t>(w)];
        }
        for (int w = 0; w < words; ++w) {
          const auto at = static_cast<std::size_t>(w);
          const Word* turning = turning_.data() + at * ArrangementRows::kMaxRank;
          Word span = lowest_[at];
          for (int l = 0; l < k; ++l) {
            const Word plus = -static_cast<Word>((lambda[static_cast<std::size_t>(l)] >> bit) & 1);
            span ^= turning[l] & plus;
          }
          cell[w] |= span;
        }
        this->template emit<L, kKind>(view, k, i, words, last, lambda, bit, repeated);
      }
      this->finish_pending(k, view.level);
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

  /// In odd rank: the cell that contains the line where all functionals but the last vanish.
  void axis_cell() {
    ++counts.pairs;
    ++counts.sets[static_cast<std::size_t>(base_)];
    if (output_.words == nullptr) return;
    const int level = r_ - 1 - base_;
    const Node<double>& line = cut(nodes_[static_cast<std::size_t>(base_)], base_, level, 0);
    const double limit = line.bounds.null_threshold();
    const double* values = line.column(0);
    std::vector<int> rows(path_.begin(), path_.begin() + base_);
    for (int q = 0; q < level; ++q) rows.push_back(n_ + q);
    rows.push_back(0);
    int orientation = 0;
    for (int j = 0; j < n_; ++j) {
      if (!get_bit(free_.data(), j)) continue;
      bool plus = values[j] > 0;
      if (!(std::abs(values[j]) > limit) && tol_ == 0) {
        if (orientation == 0) {
          int surest = first_free_;  // not of the rows that vanish here but for rounding
          for (int m = 0; m < n_; ++m) {
            if (get_bit(free_.data(), m) && std::abs(values[m]) > std::abs(values[surest])) surest = m;
          }
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
    typename Base::Gate gate{};
    std::copy_n(values + this->template lanes_of_rows<double>(), r_, gate.data());
    finish_gate(
        0, flip, gate, [&] { return check_.inside(gate.data(), cell_.data()); },
        [&] { return RayCell{{}, level, std::vector<int>(static_cast<std::size_t>(n_), 0)}; });
  }

  Words skip_, positive_, small_, dead_;
  std::vector<int> broken_;  // the last prefix found to contain a broken circuit, as all do that begin with it
  LineVector<double> norms_;
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
