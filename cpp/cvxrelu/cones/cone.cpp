#include "cvxrelu/cones/cone.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "cvxrelu/algebra/row_norms.hpp"
#include "cvxrelu/masks/bits.hpp"

namespace cvxrelu {

namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
constexpr double kFeasibility = 1e-13;  // violation, relative to ||c||, that counts as none
constexpr int kPoolAdditions = 12;      // most rows that join a pool after a look at all rows

// Flips the signs of products with rows that are inactive; returns the smallest.
double apply_signs(const Word* pattern, Index n, double* products) {
  double lowest = 0;
  for (Index w = 0; w < words_for(n); ++w) {
    const Word inactive = ~pattern[w];
    const Index count = std::min<Index>(64, n - 64 * w);
    double* t = products + 64 * w;
    for (Index j = 0; j < count; ++j) {
      Word bits;
      std::memcpy(&bits, t + j, sizeof bits);
      bits ^= inactive >> j << 63;
      std::memcpy(t + j, &bits, sizeof bits);
      lowest = t[j] < lowest ? t[j] : lowest;
    }
  }
  return lowest;
}

}  // namespace

UnitRows::UnitRows(const RowMatrixView& X) : by_row_(X) {
  const Vector norms = row_norms(X);
  for (Index j = 0; j < X.rows(); ++j)
    if (norms[j] > 0) by_row_.row(j) /= norms[j];
  by_column_ = by_row_;
}

ConeProjector::ConeProjector(const UnitRows& rows)
    : rows_(rows),
      d_(rows.dimension()),
      c_(nullptr, 0),
      qr_(d_),
      Qc_(d_),
      multipliers_(d_ + 1),
      trial_(d_ + 1),
      point_(d_),
      products_(rows.size()) {}

// The support to start from, factorised; as it stands from the last projection when that ended with these rows.
void ConeProjector::begin(const std::vector<Index>& support) {
  bool kept = support == support_;
  for (std::size_t a = 0; kept && a < support.size(); ++a) kept = signs_[a] == sign_of(pattern_, support[a]);
  if (kept) {
    qr_.project(c_, Qc_);
    return;
  }
  truncate(0);
  for (const Index row : support) append(row);
}

// False when row j depends on the rows of the support.
bool ConeProjector::append(Index j) {
  const double sign = sign_of(pattern_, j);
  if (!qr_.append(sign, rows_[j])) return false;
  signs_.push_back(sign);
  Qc_[size()] = qr_.last_component(c_);
  support_.push_back(j);
  return true;
}

void ConeProjector::truncate(Index length) {
  support_.resize(static_cast<std::size_t>(length));
  signs_.resize(static_cast<std::size_t>(length));
  qr_.truncate(length);
}

// Removes rows and their multipliers; columns of Q before the first removed row stay.
void ConeProjector::keep_only(const std::vector<char>& keep) {
  const Index k = size();
  Index first = 0;
  while (first < k && keep[static_cast<std::size_t>(first)]) ++first;
  const std::vector<Index> old(support_.begin() + first, support_.end());
  truncate(first);
  for (Index a = first; a < k; ++a)
    if (keep[static_cast<std::size_t>(a)] && append(old[static_cast<std::size_t>(a - first)]))
      multipliers_[size() - 1] = multipliers_[a];
}

// Multipliers of least squares on the support, whatever their signs.
void ConeProjector::unconstrained(Vector& multipliers) const {
  qr_.solve(Qc_, multipliers);
  multipliers.head(size()) *= -1;
}

// A support from outside may not be optimal for this c: rows with the wrong sign leave until none has it.
void ConeProjector::drop_nonpositive() {
  for (;;) {
    unconstrained(multipliers_);
    std::vector<char> keep(support_.size());
    for (std::size_t a = 0; a < keep.size(); ++a) keep[a] = multipliers_[static_cast<Index>(a)] > 0;
    if (std::all_of(keep.begin(), keep.end(), [](char k) { return k != 0; })) return;
    keep_only(keep);
  }
}

// After a row has joined: moves the multipliers towards those of least squares, rows that reach zero leave.
void ConeProjector::advance() {
  while (!support_.empty()) {
    const Index k = size();
    unconstrained(trial_);
    double step = 1;
    Index blocking = -1;
    for (Index a = 0; a < k; ++a)
      if (trial_[a] <= 0) {
        const double ratio = multipliers_[a] / (multipliers_[a] - trial_[a]);
        if (blocking < 0 || ratio < step) {
          step = ratio;
          blocking = a;
        }
      }
    if (blocking < 0) {
      multipliers_.head(k) = trial_.head(k);
      return;
    }
    std::vector<char> keep(support_.size());
    for (Index a = 0; a < k; ++a) {
      multipliers_[a] += step * (trial_[a] - multipliers_[a]);
      keep[static_cast<std::size_t>(a)] = a != blocking && multipliers_[a] > 0;
    }
    keep_only(keep);
  }
}

Index ConeProjector::most_violated(ConePool& pool, Check check, double tolerance, const std::vector<Index>& rejected) {
  const auto usable = [&](Index j) { return std::find(rejected.begin(), rejected.end(), j) == rejected.end(); };
  Index row = -1;
  double worst = -tolerance;
  const Index pooled = static_cast<Index>(pool.rows.size());
  if (pooled > 0) {
    products_.head(pooled).noalias() =
        Eigen::Map<const Matrix>(pool.signed_rows.data(), d_, pooled).transpose() * point_;
    for (Index a = 0; a < pooled; ++a)
      if (products_[a] < worst && usable(pool.rows[static_cast<std::size_t>(a)])) {
        worst = products_[a];
        row = pool.rows[static_cast<std::size_t>(a)];
      }
  }
  if (row >= 0 || check == Check::pool) return row;

  const Index n = rows_.size();
  products_.noalias() = rows_.columns() * point_;
  const double lowest = apply_signs(pattern_, n, products_.data());
  if (lowest >= -tolerance) return -1;
  int added = 0;
  for (Index j = 0; j < n && added < kPoolAdditions; ++j) {
    if (!(products_[j] <= 0.4 * lowest) || !usable(j)) continue;
    if (std::find(pool.rows.begin(), pool.rows.end(), j) == pool.rows.end()) {
      const double sign = sign_of(pattern_, j);
      pool.rows.push_back(j);
      for (Index k = 0; k < d_; ++k) pool.signed_rows.push_back(sign * rows_[j][k]);
    }
    ++added;
    if (products_[j] < worst) {
      worst = products_[j];
      row = j;
    }
  }
  return row;
}

double ConeProjector::project(const Word* pattern, ConePool& pool, const double* c, double threshold, Check check,
                              std::vector<Index>& support) {
  pattern_ = pattern;
  new (&c_) Eigen::Map<const Vector>(c, d_);
  complete_ = false;
  const double size_of_c = c_.norm();
  if (size_of_c <= threshold || size_of_c == 0) {
    truncate(0);
    point_ = c_;
    complete_ = size_of_c == 0;
    return size_of_c;
  }
  begin(support);
  drop_nonpositive();
  qr_.residual(c_, Qc_, point_);

  std::vector<Index> rejected;
  const Index most_steps = 20 * d_ + 200;  // far above what is ever needed: against cycling by rounding
  for (Index step = 0; step < most_steps; ++step) {
    const double norm = point_.norm();
    if (norm <= threshold) break;
    if (norm <= 1e-14 * size_of_c) {
      point_.setZero();
      complete_ = true;
      break;
    }
    const Index row = most_violated(pool, check, kFeasibility * size_of_c, rejected);
    if (row < 0) {
      complete_ = check == Check::all && rejected.empty();
      break;
    }
    multipliers_[size()] = 0;
    if (!append(row)) {
      rejected.push_back(row);
      continue;
    }
    rejected.clear();
    advance();
    qr_.residual(c_, Qc_, point_);
  }
  support = support_;
  return point_.norm();
}

double ConeProjector::certified_norm(const double* c) const {
  Vector sum = Eigen::Map<const Vector>(c, d_);
  double scale = sum.norm();
  for (Index a = 0; a < size(); ++a) {
    const double lambda = multipliers_[a];
    sum += lambda * sign_of(pattern_, support_[static_cast<std::size_t>(a)]) *
           Eigen::Map<const Vector>(rows_[support_[static_cast<std::size_t>(a)]], d_);
    scale += lambda;
  }
  return sum.norm() + static_cast<double>(size() + d_ + 4) * kEpsilon * scale;
}

}  // namespace cvxrelu
