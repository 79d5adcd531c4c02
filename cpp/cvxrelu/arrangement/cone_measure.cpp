#include "cvxrelu/arrangement/cone_measure.hpp"

#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>
#include <vector>

#include "cvxrelu/masks/bits.hpp"
#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/base/parallel.hpp"
#include "cvxrelu/algebra/row_norms.hpp"

namespace cvxrelu {

namespace {

using Vector2 = Eigen::Vector2d;
using Vector3 = Eigen::Vector3d;

double cross(const Vector2& a, const Vector2& b) { return a[0] * b[1] - a[1] * b[0]; }

/// The angle between the two extreme normals, seen from inside.
double angle_share(const std::vector<Vector2>& normals, const Vector2& gate) {
  const Vector2 *left = nullptr, *right = nullptr;
  double most = 0, least = 0;
  for (const Vector2& normal : normals) {
    const double along = normal.dot(gate);
    if (!(along > 0)) return 0;
    const double slope = cross(gate, normal) / along;
    if (left == nullptr || slope > most) {
      most = slope;
      left = &normal;
    }
    if (right == nullptr || slope < least) {
      least = slope;
      right = &normal;
    }
  }
  return std::atan2(std::abs(cross(*left, *right)), -left->dot(*right)) / (2 * kPi);
}

double triangle_area(const Vector3& a, const Vector3& b, const Vector3& c) {
  // The differences keep the relative accuracy of a determinant that is small because the corners are close.
  const double volume = std::abs(a.dot((b - a).cross(c - a)));
  return 2 * std::atan2(volume, 1 + a.dot(b) + b.dot(c) + c.dot(a));
}

class Polygon {
 public:
  double share(const std::vector<Vector3>& normals, const Vector3& gate) {
    const Vector3 g = gate.normalized();
    const Vector3 e = std::abs(g[0]) < 0.6 ? Vector3::UnitX() : Vector3::UnitY();
    const Vector3 e1 = g.cross(e).normalized(), e2 = g.cross(e1);
    points_.resize(normals.size());
    for (std::size_t j = 0; j < normals.size(); ++j) {
      const double along = normals[j].dot(g);
      if (!(along > 0)) return 0;
      points_[j] = Vector2(normals[j].dot(e1), normals[j].dot(e2)) / along;
    }
    wrap();
    if (facets_.size() < 3) return 0;
    double area = 0;
    Vector3 first, last;
    for (std::size_t k = 0; k < facets_.size(); ++k) {
      const Vector3& a = normals[facets_[k]];
      const Vector3& b = normals[facets_[(k + 1) % facets_.size()]];
      const Vector3 corner = a.cross(b).normalized();
      if (k == 0) {
        first = corner;
      } else {
        area += triangle_area(g, last, corner);
      }
      last = corner;
    }
    return (area + triangle_area(g, last, first)) / (4 * kPi);
  }

 private:
  /// Hull vertices counterclockwise; of points on an edge, to rounding, only the ends.
  void wrap() {
    std::size_t start = 0;
    for (std::size_t j = 1; j < points_.size(); ++j) {
      if (points_[j][0] > points_[start][0]) start = j;
    }
    start = following(start);  // the rightmost point may lie within an edge
    facets_.clear();
    std::size_t at = start;
    do {
      facets_.push_back(at);
      at = following(at);
    } while (!near(points_[at], points_[start]) && facets_.size() <= points_.size());
  }

  static constexpr double kRounding = 1e-13;

  static bool near(const Vector2& a, const Vector2& b) {
    return (a - b).lpNorm<1>() <= kRounding * (a.lpNorm<1>() + b.lpNorm<1>());
  }

  /// The point with all others to the left; of several in line the farthest.
  std::size_t following(std::size_t at) const {
    std::size_t next = at;
    Vector2 edge = Vector2::Zero();
    for (std::size_t j = 0; j < points_.size(); ++j) {
      if (near(points_[j], points_[at])) continue;
      const Vector2 other = points_[j] - points_[at];
      const double turn = cross(edge, other), rounding = kRounding * edge.lpNorm<1>() * other.lpNorm<1>();
      if (next == at || turn < -rounding || (turn <= rounding && other.squaredNorm() > edge.squaredNorm())) {
        next = j;
        edge = other;
      }
    }
    return next;
  }

  std::vector<Vector2> points_;
  std::vector<std::size_t> facets_;
};

}  // namespace

void cone_measure(const RowMatrixView& rows, const WordMatrixView& words, const RowMatrixView& gates,
                  Eigen::Ref<Vector> measure, int n_threads, Monitor& monitor) {
  const Index n = rows.rows(), r = rows.cols(), p = words.rows();
  require(r == 2 || r == 3, "rows must have 2 or 3 columns");
  require(gates.rows() == p && gates.cols() == r, "gates must be (n_patterns, rank)");
  require(words.cols() == words_for(n), "words must be (n_patterns, ceil(n_samples / 64))");
  require(measure.size() == p, "measure must have one entry per pattern");
  const RowMatrix unit = row_norms(rows).cwiseMax(1e-300).cwiseInverse().asDiagonal() * rows;

  constexpr Index kPiece = 1 << 12;  // cones between two looks at the monitor
  for (Index begin = 0; begin < p; begin += kPiece) {
    parallel_ranges(std::min(kPiece, p - begin), n_threads, 1, [&](int, Index from, Index to) {
      std::vector<Vector2> flat;
      std::vector<Vector3> solid;
      Polygon polygon;
      for (Index i = begin + from; i < begin + to; ++i) {
        flat.clear();
        solid.clear();
        for (Index j = 0; j < n; ++j) {
          if ((rows.row(j).array() == 0).all()) continue;
          const double sign = (words(i, j / 64) >> (j % 64)) & 1 ? 1 : -1;
          if (r == 2) {
            flat.emplace_back(sign * unit(j, 0), sign * unit(j, 1));
          } else {
            solid.emplace_back(sign * unit(j, 0), sign * unit(j, 1), sign * unit(j, 2));
          }
        }
        measure[i] =
            r == 2 ? angle_share(flat, gates.row(i).transpose()) : polygon.share(solid, gates.row(i).transpose());
      }
    });
    monitor.poll();
  }
}

}  // namespace cvxrelu
