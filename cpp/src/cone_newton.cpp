#include "cvxrelu/cone_newton.hpp"

#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <limits>

#include "cvxrelu/bits.hpp"
#include "cvxrelu/errors.hpp"
#include "cvxrelu/symmetric.hpp"

namespace cvxrelu {

namespace {

constexpr int kMostNewton = 50;     // steps for one proximal point
constexpr int kMostTrials = 30;     // points on a line
constexpr double kCurvature = 0.5;  // part of the slope that a step on a line may leave
constexpr int kMostStalls = 12;     // proximal steps that do not halve the gap

// target += sign * column on the samples of a pattern.
void add_masked(const Word* pattern, double sign, const double* column, Index n, double* target) {
  for (Index w = 0; w < words_for(n); ++w) {
    const Word bits = pattern[w];
    const Index count = std::min<Index>(64, n - 64 * w);
    for (Index j = 0; j < count; ++j) target[64 * w + j] += (bits >> j & 1) != 0 ? sign * column[64 * w + j] : 0.0;
  }
}

void mask_column(const Word* pattern, Index n, double* column) {
  for (Index w = 0; w < words_for(n); ++w) {
    const Word bits = pattern[w];
    const Index count = std::min<Index>(64, n - 64 * w);
    for (Index j = 0; j < count; ++j) column[64 * w + j] = (bits >> j & 1) != 0 ? column[64 * w + j] : 0.0;
  }
}

// (I + A A')^{-1} b.
Vector solve_identity_plus(const MatrixView& A, const VectorView& b, const ConeList& list) {
  Matrix H = Matrix::Identity(A.rows(), A.rows());
  add_outer_product(A, 1.0, H, list.n_threads(), list.monitor());
  require(cholesky(H, list.n_threads(), list.monitor()), "a Newton system is not positive definite");
  Vector x = b;
  H.triangularView<Eigen::Lower>().solveInPlace(x);
  H.transpose().triangularView<Eigen::Upper>().solveInPlace(x);
  return x;
}

}  // namespace

Vector network_output(const RowMatrixView& X, const std::vector<ConeBlock>& blocks) {
  Vector output = Vector::Zero(X.rows()), product(X.rows());
  for (const ConeBlock& block : blocks)
    if (block.nonzero()) {
      product.noalias() = X * block.value;
      output += block.cone.sign * product.cwiseMax(0.0);
    }
  return output;
}

NetworkGap network_gap(const RowMatrixView& X, const VectorView& y, const std::vector<ConeBlock>& blocks,
                       const VectorView& residual, double nu, double beta) {
  NetworkGap result;
  const double squared = residual.squaredNorm();
  if (squared == 0) {
    for (const ConeBlock& block : blocks) result.gap += beta * block.value.norm();
    return result;
  }
  const double most = nu > 0 ? beta / nu : std::numeric_limits<double>::infinity();
  result.scale = std::clamp(y.dot(residual) / squared, -most, most);
  const double off = 1 - result.scale;
  result.gap = 0.5 * off * off * squared;
  Vector product(X.rows());
  for (const ConeBlock& block : blocks)
    if (block.nonzero()) {
      product.noalias() = X * block.value;
      const double earned = block.cone.sign * result.scale * residual.dot(product.cwiseMax(0.0));
      result.gap += std::max(0.0, beta * block.value.norm() - earned);
    }
  return result;
}

ConeNewton::ConeNewton(ConeList& list, const VectorView& y, double beta)
    : list_(list), y_(y), beta_(beta), n_(list.X().rows()), d_(list.X().cols()) {}

void ConeNewton::gather(const std::vector<ConeBlock>& blocks) {
  const Index size = static_cast<Index>(blocks.size());
  cones_.clear();
  faces_.clear();
  projectors_.clear();
  projectors_.reserve(blocks.size());
  values_.resize(d_, size);
  proposal_.resize(d_, size);
  projected_.resize(d_, size);
  lengths_.resize(size);
  std::vector<Index> distinct;
  for (const ConeBlock& block : blocks) {
    values_.col(static_cast<Index>(cones_.size())) = block.value;
    cones_.push_back(block.cone);
    faces_.push_back(block.face);
    projectors_.emplace_back(list_.rows());
    distinct.push_back(block.cone.pattern);
  }
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  position_.clear();
  for (const SignedCone cone : cones_)
    position_.push_back(std::lower_bound(distinct.begin(), distinct.end(), cone.pattern) - distinct.begin());
  design_ = std::make_unique<RestrictedDesign>(list_.design(), std::move(distinct));
}

// s_b A_b'theta as columns.
Matrix ConeNewton::gradients(const VectorView& theta) const {
  Matrix distinct(d_, design_->size());
  design_->correlations<double>(theta, distinct);
  Matrix columns(d_, static_cast<Index>(cones_.size()));
  for (std::size_t b = 0; b < cones_.size(); ++b)
    columns.col(static_cast<Index>(b)) = cones_[b].sign * distinct.col(position_[b]);
  return columns;
}

void ConeNewton::evaluate(const Matrix& correlations, const VectorView& theta, Evaluation& at) {
  const double threshold = sigma_ * beta_;
  double penalty = 0;
  Vector shifted(d_);
  std::vector<Index> active;
  for (Index b = 0; b < values_.cols(); ++b) {
    const std::size_t k = static_cast<std::size_t>(b);
    shifted = values_.col(b) + sigma_ * correlations.col(b);
    const Index i = cones_[k].pattern;
    ConeProjector& projector = projectors_[k];
    const double norm =
        projector.project(list_.pattern(i), list_.pool(i), shifted.data(), threshold, check_, faces_[k]);
    if (norm <= threshold) {
      lengths_[b] = 0;
      proposal_.col(b).setZero();
      continue;
    }
    lengths_[b] = norm;
    projected_.col(b) = projector.point();
    proposal_.col(b) = (1 - threshold / norm) * projector.point();
    penalty += (norm - threshold) * (norm - threshold);
    active.push_back(b);
  }
  at.psi = 0.5 * theta.squaredNorm() - y_.dot(theta) + penalty / (2 * sigma_);
  at.fit = Vector::Zero(n_);
  const Matrix products = list_.X() * proposal_(Eigen::all, active);
  for (std::size_t a = 0; a < active.size(); ++a) {
    const SignedCone cone = cones_[static_cast<std::size_t>(active[a])];
    add_masked(list_.pattern(cone.pattern), cone.sign, products.col(static_cast<Index>(a)).data(), n_, at.fit.data());
  }
  list_.monitor().poll();
}

// Columns E with E E' the derivative of the block's update by sigma s_b A_b'theta: an orthonormal basis of the face's
// span, radial direction first, the others shortened by the shrinkage.
Matrix ConeNewton::face_basis(Index b) const {
  const std::vector<Index>& face = faces_[static_cast<std::size_t>(b)];
  const Index w = std::min<Index>(static_cast<Index>(face.size()), d_ - 1);
  const Vector radial = projected_.col(b) / lengths_[b];
  Matrix spanned(d_, w + 1);
  for (Index a = 0; a < w; ++a)
    spanned.col(a) = Eigen::Map<const Vector>(list_.rows()[face[static_cast<std::size_t>(a)]], d_);
  spanned.col(w) = radial;
  const Eigen::HouseholderQR<Matrix> qr(spanned);
  Matrix basis = Matrix::Zero(d_, d_ - w);
  basis.bottomRows(d_ - w).setIdentity();
  basis.applyOnTheLeft(qr.householderQ());
  basis.col(0) = radial;
  basis.rightCols(d_ - w - 1) *= std::sqrt(1 - sigma_ * beta_ / lengths_[b]);
  return std::sqrt(sigma_) * basis;
}

// -(I + V V')^{-1} gradient.
Vector ConeNewton::newton_direction(const VectorView& gradient) {
  std::vector<Matrix> bases;
  std::vector<Index> blocks;
  Index size = 0;
  for (Index b = 0; b < lengths_.size(); ++b)
    if (lengths_[b] > 0) {
      blocks.push_back(b);
      bases.push_back(face_basis(b));
      size += bases.back().cols();
    }
  Matrix V(n_, size);
  Index column = 0;
  for (std::size_t a = 0; a < blocks.size(); ++a) {
    const Word* pattern = list_.pattern(cones_[static_cast<std::size_t>(blocks[a])].pattern);
    V.middleCols(column, bases[a].cols()).noalias() = list_.X() * bases[a];
    for (Index k = 0; k < bases[a].cols(); ++k) mask_column(pattern, n_, V.col(column + k).data());
    column += bases[a].cols();
  }
  if (size > n_) return -solve_identity_plus(V, gradient, list_);
  const Matrix transposed = V.transpose();
  return V * solve_identity_plus(transposed, transposed * gradient, list_) - gradient;
}

// Minimises psi from theta; leaves the evaluation there, with all rows looked at. Returns the Newton steps taken.
Index ConeNewton::minimise(Vector& theta, Evaluation& at, ConeWork& work) {
  check_ = ConeProjector::Check::all;
  Matrix correlations = gradients(theta), along;
  evaluate(correlations, theta, at);
  Vector gradient = theta - y_ + at.fit, trial_theta;
  Evaluation trial;
  bool exhausted = false;  // rounding allows no further decrease
  int looks = 0;
  Index steps = 0;
  for (; steps < kMostNewton; ++steps) {
    const double moved = (proposal_ - values_).norm();
    const double accuracy = std::min(0.05 * moved / std::sqrt(sigma_), 1e-2 * theta.norm());
    const bool converged = gradient.norm() <= std::max(accuracy, 1e-13 * y_.norm());
    if (converged || exhausted) {
      if (check_ == ConeProjector::Check::all) break;
      // So far against the pools: psi with all rows is no larger, and where it differs the steps go on.
      check_ = ConeProjector::Check::all;
      const double before = at.psi;
      evaluate(correlations, theta, at);
      gradient = theta - y_ + at.fit;
      exhausted = false;
      if ((std::abs(at.psi - before) <= 1e-16 * std::abs(at.psi) && converged) || ++looks > 20) break;
      continue;
    }
    check_ = ConeProjector::Check::pool;
    ++work.n_newton;
    const Vector direction = newton_direction(gradient);
    along = gradients(direction);
    const double slope = gradient.dot(direction);
    // psi is convex along the direction: from Newton's step the secant of the derivative, until Wolfe's conditions
    // hold.
    double step = 1;
    for (int trials = 0; trials < kMostTrials; ++trials) {
      trial_theta = theta + step * direction;
      evaluate(correlations + step * along, trial_theta, trial);
      if (std::abs(slope) * step < 1e-13 * std::abs(at.psi)) break;
      const double steepness = (trial_theta - y_ + trial.fit).dot(direction);
      if (trial.psi <= at.psi + 1e-4 * step * slope && steepness <= -kCurvature * slope) break;
      step *= std::clamp(slope / (slope - steepness), 0.1, 0.9);
    }
    theta = trial_theta;
    if (steps % 10 == 9)
      correlations = gradients(theta);
    else
      correlations += step * along;
    std::swap(at, trial);
    gradient = theta - y_ + at.fit;
    exhausted = std::abs(slope) < 1e-15 * std::abs(at.psi);
  }
  if (check_ == ConeProjector::Check::pool) {
    check_ = ConeProjector::Check::all;
    evaluate(correlations, theta, at);
  }
  return steps;
}

// The gap over the cones of the working set.
double ConeNewton::restricted_gap(const Vector& residual) {
  const Matrix correlations = gradients(residual);
  double nu = beta_;
  std::vector<ConeBlock> blocks;
  std::vector<Index> support;
  for (std::size_t b = 0; b < cones_.size(); ++b) {
    const Index column = static_cast<Index>(b), i = cones_[b].pattern;
    support = faces_[b];
    nu = std::max(nu, projectors_[b].project(list_.pattern(i), list_.pool(i), correlations.col(column).data(), nu,
                                             ConeProjector::Check::all, support));
    blocks.push_back({cones_[b], values_.col(column)});
  }
  return network_gap(list_.X(), y_, blocks, residual, nu, beta_).gap;
}

void ConeNewton::solve(std::vector<ConeBlock>& blocks, double gap_target, Index max_proximal, Vector& theta,
                       double& sigma, ConeWork& work) {
  gather(blocks);
  const double curvature = list_.X().squaredNorm() / (2.0 * static_cast<double>(d_));  // of one block, typically
  double best_gap = std::numeric_limits<double>::infinity();
  int stalls = 0;
  Evaluation at;
  for (Index outer = 0; outer < max_proximal; ++outer) {
    ++work.n_proximal;
    sigma_ = sigma;
    const Index steps = minimise(theta, at, work);
    const double moved = (proposal_ - values_).norm() / std::max(1e-300, proposal_.norm());
    values_ = proposal_;
    const double gap = restricted_gap(y_ - at.fit);
    if (gap <= gap_target || (moved < 1e-11 && outer > 0)) break;
    const bool no_better = gap > 0.9 * best_gap;
    stalls = gap > 0.5 * best_gap ? stalls + 1 : 0;
    if (stalls > kMostStalls) break;
    best_gap = std::min(gap, best_gap);
    if (steps == 0 && no_better)
      sigma /= 20;  // u + sigma A'theta has lost digits
    else if (steps < kMostNewton)
      sigma = std::min(sigma * (steps <= 6 ? 5 : 3), 1e8 / curvature);
    else
      sigma /= 2;
  }
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    blocks[b].value = values_.col(static_cast<Index>(b));
    blocks[b].face = faces_[b];
  }
}

}  // namespace cvxrelu
