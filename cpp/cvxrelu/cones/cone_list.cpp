#include "cvxrelu/cones/cone_list.hpp"

#include <algorithm>

#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/masks/bits.hpp"

namespace cvxrelu {

namespace {

constexpr Index kConesPerPoll = 256;

}  // namespace

ConeList::ConeList(const RowMatrixView& X, int n_threads, Monitor& monitor)
    : X_(X), rows_(X), n_threads_(n_threads), monitor_(monitor), words_(0, words_for(X.rows())) {
  design_ = std::make_unique<MaskedDesign>(X_, words_, n_threads_, monitor_);
}

void ConeList::append(const WordMatrixView& words, const VectorView& weights) {
  require(words.cols() == words_.cols(), "words must have ceil(n_samples / 64) columns");
  require(weights.size() == words.rows(), "there must be a weight for each pattern");
  const Index before = words_.rows();
  words_.conservativeResize(before + words.rows(), Eigen::NoChange);
  words_.bottomRows(words.rows()) = words;
  weights_.conservativeResize(words_.rows());
  weights_.tail(words.rows()) = weights;
  pools_.resize(static_cast<std::size_t>(words_.rows()));
  for (auto& supports : supports_) supports.resize(pools_.size());
  design_ = std::make_unique<MaskedDesign>(X_, words_, n_threads_, monitor_);
}

Pricing ConeList::price(const VectorView& r, double threshold, Index budget) {
  const Index d = rows_.dimension();
  if (size() == 0) return {threshold, {}, {}};
  Matrix correlations(d, size());
  design_->correlations(r, correlations);

  // Bounds from norms and pools.
  std::vector<Violation> open;
  std::vector<SignedCone> candidates;
  for (Index i = 0; i < size(); ++i)
    if (correlations.col(i).norm() > threshold * weight(i)) {
      candidates.push_back({i, 1});
      candidates.push_back({i, -1});
    }
  ConeProjector projector(rows_);
  Vector c(d);
  Pricing pricing;
  pricing.bound = threshold;
  // The norm of the projection over the weight, or 0 where that is known to be at most the threshold, up to rounding.
  const auto project = [&](SignedCone cone, ConeProjector::Check check) {
    const Index i = cone.pattern;
    c = cone.sign * correlations.col(i);
    const double norm = projector.project(pattern(i), pool(i), c.data(), threshold * weight(i), check, support(cone));
    const double certified = projector.certified_norm(c.data()) / weight(i);
    if (norm > threshold * weight(i)) return certified;
    pricing.bound = std::max(pricing.bound, certified);
    return 0.0;
  };
  Index done = 0;
  for (const SignedCone cone : candidates) {
    const double norm = project(cone, ConeProjector::Check::pool);
    if (norm > threshold) open.push_back({cone, norm});
    if (++done % kConesPerPoll == 0) monitor_.poll();
  }
  const auto worse = [](const Violation& a, const Violation& b) { return a.norm > b.norm; };
  std::stable_sort(open.begin(), open.end(), worse);

  done = 0;
  for (std::size_t k = 0; k < open.size(); ++k) {
    const Violation& candidate = open[k];
    // What is left has bounds no larger than this one; with nothing found yet, it is worth going on.
    if (done >= budget && !pricing.violations.empty()) {
      pricing.bound = std::max(pricing.bound, candidate.norm);
      pricing.open.assign(open.begin() + static_cast<std::ptrdiff_t>(k), open.end());
      break;
    }
    const double norm = project(candidate.cone, ConeProjector::Check::all);
    if (norm > threshold) {
      pricing.violations.push_back({candidate.cone, norm});
      pricing.bound = std::max(pricing.bound, norm);
    }
    if (++done % kConesPerPoll == 0) monitor_.poll();
  }
  std::stable_sort(pricing.violations.begin(), pricing.violations.end(), worse);
  return pricing;
}

}  // namespace cvxrelu
