// A list of patterns with their cones, and pricing over it: for a residual or dual point r,
//
//     nu(r) = max over patterns i and signs s of ||P_{K_i}(s X' D_i r)|| / omega_i,
//
// the dual norm of the ReLU program over the list, whose patterns have weights omega_i. ||X' D_i r|| <= beta settles
// most cones, since a projection only shortens; for the others the bound from the pool of a cone comes first, and
// projections are taken in the order of those bounds. Cost: one product with the masked design and O(n d) for each cone
// looked at in full.
#pragma once

#include <memory>
#include <vector>

#include "cvxrelu/cones/cone.hpp"
#include "cvxrelu/masks/masked_design.hpp"

namespace cvxrelu {

/// A cone with one of the signs of its neurons' second layer.
struct SignedCone {
  Index pattern = 0;
  int sign = 1;
};

struct Violation {
  SignedCone cone;
  double norm = 0;  // ||P(s X' D r)|| / omega, or a bound on it
};

struct Pricing {
  double bound = 0;                   // nu(r) <= bound
  std::vector<Violation> violations;  // cones above the threshold, worst first
  std::vector<Violation> open;        // cones that may be above it, beyond the budget
};

class ConeList {
 public:
  ConeList(const RowMatrixView& X, int n_threads, Monitor& monitor);

  /// Appends patterns, rows of `words`, with weights, 1 by default. Invalidates references to the design.
  void append(const WordMatrixView& words, const VectorView& weights);
  void append(const WordMatrixView& words) { append(words, Vector::Ones(words.rows())); }

  Index size() const { return static_cast<Index>(pools_.size()); }
  const RowMatrixView& X() const { return X_; }
  const UnitRows& rows() const { return rows_; }
  const MaskedDesign& design() const { return *design_; }
  const Word* pattern(Index i) const { return words_.data() + i * words_.cols(); }
  double weight(Index i) const { return weights_[i]; }
  ConePool& pool(Index i) { return pools_[static_cast<std::size_t>(i)]; }
  std::vector<Index>& support(SignedCone cone) {
    return supports_[cone.sign > 0 ? 0 : 1][static_cast<std::size_t>(cone.pattern)];
  }
  Monitor& monitor() const { return monitor_; }
  int n_threads() const { return n_threads_; }

  /// Cones whose projection is longer than `threshold`. After `budget` projections taken to the end, the bounds from
  /// the pools stand for the rest, unless nothing was found yet.
  Pricing price(const VectorView& r, double threshold, Index budget);

 private:
  RowMatrixView X_;
  UnitRows rows_;
  int n_threads_;
  Monitor& monitor_;
  WordMatrix words_;
  Vector weights_;
  std::vector<ConePool> pools_;
  std::vector<std::vector<Index>> supports_[2];
  std::unique_ptr<MaskedDesign> design_;
};

}  // namespace cvxrelu
