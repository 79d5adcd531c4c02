#include "cvxrelu/gated/working_set.hpp"

#include <algorithm>

namespace cvxrelu {

void WorkingSet::assign(std::vector<Index> groups) {
  groups_ = std::move(groups);
  std::fill(contains_.begin(), contains_.end(), false);
  for (const Index i : groups_) contains_[static_cast<std::size_t>(i)] = true;
}

Index WorkingSet::add_violators(const VectorView& violation, std::vector<Index> kept, Index n_added) {
  constexpr double kViolated = 1 + 1e-10;
  constexpr Index kLeast = 30;  // violators that are added at a time
  std::vector<Index> violators;
  for (Index i = 0; i < violation.size(); ++i)
    if (!contains_[static_cast<std::size_t>(i)] && violation[i] > kViolated) violators.push_back(i);
  const Index total = static_cast<Index>(violators.size());

  const auto worse = [&](Index a, Index b) {
    return violation[a] != violation[b] ? violation[a] > violation[b] : a < b;
  };
  const Index most = std::min(total, std::max(kLeast, n_added));
  std::partial_sort(violators.begin(), violators.begin() + most, violators.end(), worse);
  kept.insert(kept.end(), violators.begin(), violators.begin() + most);
  assign(std::move(kept));
  return total;
}

}  // namespace cvxrelu
