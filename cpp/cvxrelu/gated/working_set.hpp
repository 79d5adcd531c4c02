// The groups that an inner solver looks at, out of all: those that are non-zero or close to it, and the worst violators
// of the optimality condition ||A_i' R|| <= beta omega_i.
#pragma once

#include <vector>

#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

class WorkingSet {
 public:
  explicit WorkingSet(Index n_groups) : contains_(static_cast<std::size_t>(n_groups), false) {}

  const std::vector<Index>& groups() const { return groups_; }
  bool empty() const { return groups_.empty(); }
  /// For every group, whether it is in the set.
  const std::vector<bool>& contains() const { return contains_; }

  void assign(std::vector<Index> groups);
  /// Drops groups that are zero and clearly inactive, and adds the worst violators: `n_added`, or 30 if that is more.
  /// `violation` has ||A_i' R|| / (beta omega_i) of every group, `nonzero(i)` says whether W_i is not zero. Returns how
  /// many violators there were outside the set.
  template <class NonZero>
  Index update(const VectorView& violation, const NonZero& nonzero, Index n_added) {
    std::vector<Index> kept;
    for (const Index i : groups_)
      if (violation[i] >= kInactive || nonzero(i)) kept.push_back(i);
    return add_violators(violation, std::move(kept), n_added);
  }

 private:
  static constexpr double kInactive = 0.95;  // a group with less of the violation is unlikely to come back

  Index add_violators(const VectorView& violation, std::vector<Index> kept, Index n_added);

  std::vector<Index> groups_;
  std::vector<bool> contains_;
};

}  // namespace cvxrelu
