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
  /// Drops groups that are zero and clearly inactive, and adds the worst violators, at least as many as are active.
  /// `violation` has ||A_i' R|| / (beta omega_i) of every group, `coef` a column for each. Returns how many violators
  /// there were outside the set.
  Index update(const Vector& violation, const Matrix& coef, Index n_active);

 private:
  std::vector<Index> groups_;
  std::vector<bool> contains_;
};

}  // namespace cvxrelu
