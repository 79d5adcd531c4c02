#include "cvxrelu/cones/direction_search.hpp"

#include <algorithm>
#include <cmath>

namespace cvxrelu {

void FoundDirections::add(const FoundDirection& direction) {
  constexpr double same = 0.9;  // cosine, from which two directions count as one
  const auto near = [&](const FoundDirection& other) {
    return other.sign == direction.sign && other.point.dot(direction.point) > same;
  };
  const auto below = [](const FoundDirection& a, const FoundDirection& b) { return a.value < b.value; };
  if (std::any_of(list.begin(), list.end(), [&](const auto& other) { return near(other) && !below(other, direction); }))
    return;
  list.erase(std::remove_if(list.begin(), list.end(), near), list.end());
  list.push_back(direction);
  if (list.size() > most) list.erase(std::min_element(list.begin(), list.end(), below));
}

namespace {

constexpr std::size_t kMostDepth = 200;
constexpr int kSweeps = 2;       // of coordinate descent, while the majorant matters more
constexpr int kMostSweeps = 50;  // and where the slopes do: more save nodes, and cost more than those
constexpr double kConverged = 1e-13;
constexpr double kWorkPerLook = 1e6;    // additions between two questions whether to stop
constexpr std::size_t kMostFixed = 10;  // undecided convex rows, from which on a node branches on them

}  // namespace

template <int P>
DirectionSearch<P>::DirectionSearch(const LaneRows<P>& rows, std::function<bool()> stopped)
    : rows_(rows), stopped_(std::move(stopped)), nodes_(kMostDepth) {}

template <int P>
SearchOutcome DirectionSearch<P>::run(const DirectionBox& box, const SearchLevels& levels, Index max_nodes) {
  outcome_ = {};
  levels_ = levels;
  best_ = levels.value;
  max_nodes_ = max_nodes;
  out_ = false;
  nodes_[0].load(rows_, box);
  search(0, box.bound, true);
  return std::move(outcome_);
}

// Returns a bound on f in the node, at most `inherited`. A node that is the whole of a cell settles it; others are
// pieces of one that is waited for.
template <int P>
double DirectionSearch<P>::search(std::size_t depth, double inherited, bool whole) {
  Node& node = nodes_[depth];
  if (outcome_.n_nodes >= max_nodes_ && whole) out_ = true;
  if (work_ > kWorkPerLook) {
    work_ = 0;
    out_ = out_ || stopped_();
  }
  double highest = out_ ? inherited : std::min(inherited, bound(node));
  if (out_ || highest <= goal() || depth + 2 > nodes_.size()) {
    if (whole) settle(node, highest);
    return highest;
  }
  Node& child = nodes_[depth + 1];
  if (majorant_matters_ && !node.convex.empty() && node.convex.size() <= kMostFixed) {
    const std::size_t t = widest_chord(node);
    const bool first = product(node.convex[t], point_) > 0;
    double largest = 0;
    for (const bool on : {first, !first}) {
      child.become_fixed(rows_, node, t, on);
      largest = std::max(largest, search(depth + 1, highest, false));
    }
    if (whole) settle(node, largest);
    return largest;
  }
  const int k = widest(node);
  const int first = point_[k] > node.middle[k] * std::abs(point_[node.face]) ? 1 : -1;
  node.halfway(rows_, k);
  double largest = 0;
  for (const int side : {first, -first}) {
    child.become_half(rows_, node, k, side);
    largest = std::max(largest, search(depth + 1, highest, whole));
  }
  return largest;
}

template <int P>
void DirectionSearch<P>::settle(const Node& node, double bound) {
  if (bound <= level()) {
    outcome_.closed = std::max(outcome_.closed, bound);
    return;
  }
  DirectionBox box{node.face, node.sign, bound, {}, {}};
  for (int k = 0; k < rows_.dimension; ++k) {
    box.lo[k] = node.middle[k] - node.width[k];
    box.hi[k] = node.middle[k] + node.width[k];
  }
  outcome_.open.push_back(box);
}

template <int P>
double DirectionSearch<P>::bound(Node& node) {
  ++outcome_.n_nodes;
  work_ += static_cast<double>(node.at.size() * (2 + node.convex.size() / 2) + 4 * P * node.concave.size() + 500);
  const double enough = goal() - rows_.error;
  const Direction<P> base = node.majorant() - node.concave_sum;
  Direction<P> form = base;
  for (const auto& row : node.concave) form -= row.slope * rows_.row[static_cast<std::size_t>(row.id)];
  const Direction<P> lo = node.middle - node.width, hi = node.middle + node.width;
  ConeMaximum<P> maximum;
  maximum.find(form, lo, hi, node.face);
  double lowest = maximum.bound;
  int most = kSweeps;
  for (int sweep = 0;; ++sweep) {
    point_ = maximum.point;
    if (lowest <= enough) break;
    double off = 0;
    for (const auto& row : node.concave) off += std::max(0.0, product(row, point_));
    const double relaxed = (base * point_).sum() - off;
    const bool settled = relaxed > enough || relaxed > maximum.bound * (1 - kConverged);
    if (settled || sweep >= most) {
      double value = ((node.convex_sum - node.concave_sum) * point_).sum() - off;
      for (const auto& row : node.convex) value += std::max(0.0, product(row, point_));
      if (value > best_ || value > levels_.threshold) keep(node, value);
      slopes_matter_ = maximum.bound - relaxed > relaxed - value;
      majorant_matters_ = relaxed > enough || !slopes_matter_;
      if (settled || sweep >= kMostSweeps || !slopes_matter_) break;
      most = kMostSweeps;
    }
    work_ += static_cast<double>(4 * P * node.concave.size());
    Direction<P>& p = maximum.form;
    for (auto& row : node.concave) {
      const Direction<P>& a = rows_.row[static_cast<std::size_t>(row.id)];
      const double slope =
          std::clamp(row.slope + (a * p).sum() / rows_.square[static_cast<std::size_t>(row.id)], 0.0, 1.0);
      const double change = row.slope - slope;
      if (change == 0) continue;
      row.slope = slope;
      p += change * a;
      form += change * a;
    }
    maximum.find(form, lo, hi, node.face);
    lowest = std::min(lowest, maximum.bound);
  }
  return lowest * (1 + kConverged * 0.1) + rows_.error;
}

template <int P>
void DirectionSearch<P>::keep(const Node& node, double value) {
  const FoundDirection found{value, node.sign, point_.head(rows_.dimension).matrix()};
  if (value > best_) {
    best_ = value;
    outcome_.best = found;
  }
  if (value > levels_.threshold) outcome_.found.add(found);
}

template <int P>
int DirectionSearch<P>::widest(const Node& node) const {
  Direction<P> change = Direction<P>::Zero();
  for (const auto& row : slopes_matter_ ? node.concave : node.convex)
    change += rows_.row[static_cast<std::size_t>(row.id)].abs();
  change *= node.width;
  int k = 0;
  if (!(change.maxCoeff(&k) > 0)) node.width.maxCoeff(&k);
  return k;
}

// The convex row whose chord over its range is farthest above (z)_+ at the maximiser of the relaxation.
template <int P>
std::size_t DirectionSearch<P>::widest_chord(const Node& node) const {
  const Direction<P> w = point_ / std::abs(point_[node.face]);
  std::size_t row = 0;
  double widest = -1;
  for (std::size_t t = 0; t < node.convex.size(); ++t) {
    const auto& [id, middle, range, slope] = node.convex[t];
    const double z = product(node.convex[t], w);
    const double error = (middle + range) * (z - middle + range) / (2 * range) - std::max(0.0, z);
    if (error > widest) {
      widest = error;
      row = t;
    }
  }
  return row;
}

template class DirectionSearch<8>;
template class DirectionSearch<12>;

}  // namespace cvxrelu
