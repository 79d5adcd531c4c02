#include "cvxrelu/gated/row_sample.hpp"

#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

#include "cvxrelu/gated/active_newton.hpp"

namespace cvxrelu {

namespace {

// A number in [0, 1) from the row's index alone (SplitMix64; Steele, Lea and Flood, "Fast splittable pseudorandom
// number generators", 2014).
double uniform_of_row(Index row) {
  std::uint64_t z = (static_cast<std::uint64_t>(row) + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

constexpr double kDamping = 0.03;  // e^2 relative to the mean curvature of a block
constexpr int kRounds = 4;
constexpr double kLastRound = 0.1;  // part of the decrease so far
constexpr double kChange = 0.1;     // of curvatures that is less than what the sample leaves open

}  // namespace

RowSample::RowSample(const GroupLassoProblem& problem, const std::vector<Index>& groups, Index n_rows)
    : omega_(static_cast<Index>(groups.size())) {
  const MaskedDesign& design = problem.design;
  const Index n = design.n_samples();
  const double wanted = static_cast<double>(n_rows) / static_cast<double>(n);
  for (Index j = 0; j < n; ++j)
    if (uniform_of_row(j) < wanted) rows_.push_back(j);
  share_ = static_cast<double>(size()) / static_cast<double>(n);
  X_.resize(size(), design.n_features());
  words_ = WordMatrix::Zero(static_cast<Index>(groups.size()), (size() + 63) / 64);
  for (Index k = 0; k < size(); ++k) X_.row(k) = design.X().row(rows_[static_cast<std::size_t>(k)]);
  for (Index a = 0; a < words_.rows(); ++a) {
    omega_[a] = problem.group_weights[groups[static_cast<std::size_t>(a)]];
    const Word* pattern = design.pattern(groups[static_cast<std::size_t>(a)]);
    for (Index k = 0; k < size(); ++k) {
      const Index j = rows_[static_cast<std::size_t>(k)];
      words_(a, k / 64) |= (pattern[j / 64] >> (j % 64) & 1) << (k % 64);
    }
  }
}

void RowSample::weigh(const MatrixView& unpenalised, const VectorView& curvature, const MaskedDesign& all) {
  Vector now(size());
  for (Index k = 0; k < size(); ++k) now[k] = curvature[rows_[static_cast<std::size_t>(k)]];
  if (design_ && (now - curvature_).lpNorm<1>() <= kChange * curvature_.lpNorm<1>()) return;
  curvature_ = std::move(now);
  const Vector root = (curvature_ / share_).cwiseSqrt();
  scaled_ = root.asDiagonal() * X_;
  free_.resize(size(), unpenalised.cols());
  for (Index k = 0; k < size(); ++k) free_.row(k) = root[k] * unpenalised.row(rows_[static_cast<std::size_t>(k)]);
  if (free_.cols() > 0) {
    const Eigen::ColPivHouseholderQR<Matrix> qr(free_);
    free_ = qr.householderQ() * Matrix::Identity(size(), qr.rank());
  }
  blocks_.reset();
  design_ = std::make_unique<MaskedDesign>(scaled_, words_, all.n_threads(), all.monitor());
  blocks_ = std::make_unique<BlockUpdate>(*design_);
}

Matrix RowSample::minimise(const GroupLassoProblem& problem, const VectorView& curvature, const Matrix& correlations,
                           const Matrix& W, GroupLassoResult& counts) {
  weigh(problem.unpenalised, curvature, problem.design);
  const Index d = X_.cols(), c = W.rows() / d;
  const double damping = kDamping * 0.5 * scaled_.squaredNorm() / static_cast<double>(d);
  const Matrix linear = correlations + damping * W, zero = Matrix::Zero(size(), c);
  const GroupLassoProblem model{
      *design_, zero, problem.beta, omega_, problem.ridge + damping, free_, BlockNorm::frobenius, &linear};

  std::vector<Index> all(static_cast<std::size_t>(W.cols()));
  std::iota(all.begin(), all.end(), Index(0));
  Iterate iterate(model);  // its residual is minus what V - W fits
  iterate.coef = W;
  SampleSpace space(*design_);
  Index expected_cg = ActiveNewton::kLeastCg;
  ActiveNewton newton(model, *blocks_, space, expected_cg);
  const auto objective = [&] {
    double sum = 0.5 * iterate.residual.squaredNorm() - linear.cwiseProduct(iterate.coef - W).sum() +
                 0.5 * model.ridge * (iterate.coef.squaredNorm() - W.squaredNorm());
    for (Index a = 0; a < W.cols(); ++a) sum += model.threshold(a) * (iterate.coef.col(a).norm() - W.col(a).norm());
    return sum;
  };
  double decrease = 0;
  for (int round = 0; round < kRounds; ++round) {
    blocks_->sweep(model, all, iterate);
    newton.step(iterate);
    ++counts.n_sweeps;
    const double now = -objective(), added = now - decrease;
    decrease = now;
    if (added <= kLastRound * decrease) break;
  }
  counts.n_newton += newton.n_steps();
  counts.n_cg += newton.n_cg();
  counts.n_direct += newton.n_direct();
  return iterate.coef;
}

}  // namespace cvxrelu
