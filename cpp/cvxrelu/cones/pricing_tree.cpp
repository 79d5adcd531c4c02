#include "cvxrelu/cones/pricing_tree.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <queue>

#include "cvxrelu/algebra/box_least_squares.hpp"
#include "cvxrelu/algebra/row_norms.hpp"
#include "cvxrelu/masks/bits.hpp"

namespace cvxrelu {

namespace {

constexpr double kRelativeAccuracy = 1e-9;  // of the bound above the best value found
constexpr double kSumRounding = 1e-13;      // of sums, relative to the sum of their terms' lengths
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Node {
  double bound = 0;
  Index branch = -1;         // the row to fix next
  std::vector<Index> fixed;  // rows whose sign the node fixes
  std::vector<Word> signs;   // their bits: 1 for x_j.u >= 0
  bool operator<(const Node& other) const { return bound < other.bound; }
};

class Tree {
 public:
  Tree(const RowMatrixView& X, const VectorView& theta, const TreeSettings& settings)
      : X_(X),
        theta_(theta),
        settings_(settings),
        rows_(X),
        projector_(rows_),
        relaxation_(X.cols()),
        length_(row_norms(X)) {
    size_ = length_.dot(theta.cwiseAbs());
  }

  TreeResult run(Monitor& monitor) {
    const auto start = std::chrono::steady_clock::now();
    result_.point = Vector::Zero(X_.cols());
    Node root;
    root.signs.assign(static_cast<std::size_t>(words_for(X_.rows())), 0);
    pruned_ = 0;
    consider(std::move(root));
    while (!open_.empty()) {
      monitor.poll();
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      if (open_.top().bound <= level() || result_.value > settings_.enough) break;
      if (result_.n_nodes >= settings_.max_nodes || seconds.count() > settings_.max_seconds) break;
      const Node node = open_.top();
      open_.pop();
      for (const bool positive : {true, false}) {
        Node child = node;
        child.fixed.push_back(node.branch);
        if (positive) child.signs[static_cast<std::size_t>(node.branch / 64)] |= Word(1) << (node.branch % 64);
        consider(std::move(child));
      }
    }
    result_.bound = std::max({result_.value, pruned_, open_.empty() ? 0.0 : open_.top().bound});
    result_.complete = result_.bound <= level();
    return std::move(result_);
  }

 private:
  double level() const {
    return std::max(settings_.threshold, result_.value * (1 + kRelativeAccuracy) + kSumRounding * size_);
  }

  // Bounds a node, and keeps it unless it can be pruned.
  void consider(Node node) {
    ++result_.n_nodes;
    cone_ = {};
    for (const Index j : node.fixed) {
      cone_.rows.push_back(j);
      const double sign = sign_of(node.signs.data(), j);
      for (Index k = 0; k < X_.cols(); ++k) cone_.signed_rows.push_back(sign * rows_[j][k]);
    }
    std::vector<char> is_fixed(static_cast<std::size_t>(X_.rows()), 0);
    for (const Index j : node.fixed) is_fixed[static_cast<std::size_t>(j)] = 1;

    relaxation_.clear();
    Vector c = Vector::Zero(X_.cols());
    double constant = 0;
    chords_.clear();
    for (Index j = 0; j < X_.rows(); ++j) {
      if (theta_[j] == 0 || length_[j] == 0) continue;
      if (is_fixed[static_cast<std::size_t>(j)]) {
        if (sign_of(node.signs.data(), j) > 0) c += theta_[j] * X_.row(j).transpose();
        continue;
      }
      const double high = length_[j] * extent(node, j, 1), low = -length_[j] * extent(node, j, -1);
      const double negligible = 1e-12 * length_[j];
      if (high <= negligible) {
        constant += std::max(theta_[j], 0.0) * high;
      } else if (low >= -negligible) {
        c += theta_[j] * X_.row(j).transpose();
        constant -= std::max(theta_[j], 0.0) * low;  // (t)_+ <= t - low
      } else if (theta_[j] < 0) {
        relaxation_.add(-1, rows_[j], -theta_[j] * length_[j]);
      } else {
        const double slope = theta_[j] * high / (high - low);
        c += slope * X_.row(j).transpose();
        constant -= slope * low;
        chords_.push_back({j, slope, low});
      }
    }
    for (const Index j : node.fixed) relaxation_.add(sign_of(node.signs.data(), j), rows_[j], kInfinity);

    const double norm = relaxation_.solve(c, level() - constant);
    node.bound = constant + norm + 8 * std::numeric_limits<double>::epsilon() * (constant + norm);
    if (node.bound <= level()) {
      pruned_ = std::max(pruned_, node.bound);
      return;
    }
    // The maximiser, up to its length; where the residual vanishes, u = 0 is one.
    Vector direction = relaxation_.point();
    if (direction.norm() <= 1e-10 * c.norm()) direction.setZero();
    try_point(direction);
    node.branch = widest_chord(direction);
    if (node.branch < 0 || node.bound <= level()) {
      pruned_ = std::max(pruned_, node.bound);
      return;
    }
    open_.push(std::move(node));
  }

  // Largest sign * x_j.u / ||x_j|| in the node, from above.
  double extent(const Node& node, Index j, int sign) {
    const Vector c = sign * Eigen::Map<const Vector>(rows_[j], X_.cols());
    support_.clear();
    projector_.project(node.signs.data(), cone_, c.data(), 0, ConeProjector::Check::pool, support_);
    return std::min(1.0, projector_.certified_norm(c.data()));
  }

  void try_point(const Vector& direction) {
    const double norm = direction.norm();
    if (!(norm > 0)) return;
    const double value = theta_.dot((X_ * direction).cwiseMax(0.0)) / norm;
    if (value > result_.value) {
      result_.value = value;
      result_.point = direction / norm;
    }
  }

  // The row whose chord is farthest above (.)_+ where the relaxation has its maximum.
  Index widest_chord(const Vector& direction) const {
    const double norm = direction.norm();
    Index row = -1;
    double widest = 0;
    for (const Chord& chord : chords_) {
      const double t = norm > 0 ? X_.row(chord.row).dot(direction) / norm : 0;
      const double error = chord.slope * (t - chord.low) - theta_[chord.row] * std::max(t, 0.0);
      if (error > widest) {
        widest = error;
        row = chord.row;
      }
    }
    return row;
  }

  struct Chord {
    Index row;
    double slope, low;
  };

  const RowMatrixView& X_;
  const VectorView& theta_;
  const TreeSettings& settings_;
  UnitRows rows_;
  ConeProjector projector_;
  BoxLeastSquares relaxation_;
  Vector length_;
  double size_ = 0;  // sum of |theta_j| ||x_j||
  std::priority_queue<Node> open_;
  TreeResult result_;
  double pruned_ = 0;  // largest bound of a node that was closed
  ConePool cone_;
  std::vector<Index> support_;
  std::vector<Chord> chords_;
};

}  // namespace

TreeResult price_by_tree(const RowMatrixView& X, const VectorView& theta, const TreeSettings& settings,
                         Monitor& monitor) {
  return Tree(X, theta, settings).run(monitor);
}

}  // namespace cvxrelu
