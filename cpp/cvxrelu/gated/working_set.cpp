#include "cvxrelu/gated/working_set.hpp"

#include <algorithm>

namespace cvxrelu {

void WorkingSet::assign(std::vector<Index> groups) {
  groups_ = std::move(groups);
  std::fill(contains_.begin(), contains_.end(), false);
  for (const Index i : groups_) contains_[static_cast<std::size_t>(i)] = true;
}

Index WorkingSet::update(const Vector& violation, const Matrix& coef, Index n_active) {
  constexpr double kInactive = 0.95, kViolated = 1 + 1e-10;
  constexpr Index kLeast = 30;  // violators that are added at a time
  std::vector<Index> kept, violators;
  for (const Index i : groups_)
    if (violation[i] >= kInactive || !coef.col(i).isZero(0)) kept.push_back(i);
  for (Index i = 0; i < violation.size(); ++i)
    if (!contains_[static_cast<std::size_t>(i)] && violation[i] > kViolated) violators.push_back(i);
  const Index total = static_cast<Index>(violators.size());

  const auto worse = [&](Index a, Index b) {
    return violation[a] != violation[b] ? violation[a] > violation[b] : a < b;
  };
  const Index most = std::min(total, std::max(kLeast, n_active));
  std::partial_sort(violators.begin(), violators.begin() + most, violators.end(), worse);
  kept.insert(kept.end(), violators.begin(), violators.begin() + most);
  assign(std::move(kept));
  return total;
}

}  // namespace cvxrelu
