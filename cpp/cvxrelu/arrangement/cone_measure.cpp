#include "cvxrelu/arrangement/cone_measure.hpp"

#include <Eigen/Geometry>
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "cvxrelu/arrangement/live_rows.hpp"
#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/base/parallel.hpp"
#include "cvxrelu/exact/wide_float.hpp"
#include "cvxrelu/masks/bits.hpp"

namespace cvxrelu {

namespace {

using Vector2 = Eigen::Vector2d;
using Vector3 = Eigen::Vector3d;
using Wide3 = Eigen::Matrix<WideFloat, 3, 1>;

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
constexpr double kWide = 0x1p-122;  // bounds the errors of sums of a few products of size one

struct Share {
  double value = 0, error = 0;
};

/// In R^2: the arc from the border of one half-plane to that of another, both given by their normals.
class Arc {
 public:
  Share share(const std::vector<Vector2>& normals) const {
    const Vector2 *first = &normals[0], *last = &normals[0];
    for (const Vector2& normal : normals) {
      // Of the rays where the arc begins and ends: the normals turned clockwise and counterclockwise.
      const int at_first = -turn(*first, normal), at_last = turn(*last, normal);
      if (at_first == 0 && at_last == 0 && first == last) {
        if (first->dot(normal) < 0) return {};
      } else if (std::max(at_first, at_last) <= 0) {
        return {};
      }
      if (at_first < 0) first = &normal;
      if (at_last < 0) last = &normal;
    }
    const Eigen::Matrix<WideFloat, 2, 1> a = first->cast<WideFloat>(), b = last->cast<WideFloat>();
    const double sine = std::abs(static_cast<double>(a[0] * b[1] - a[1] * b[0]));
    const double angle = std::atan2(sine, -static_cast<double>(a.dot(b)));
    return {angle / (2 * kPi), kEpsilon * angle + kWide};
  }

 private:
  /// Sign of the angle from a to b.
  static int turn(const Vector2& a, const Vector2& b) {
    const double value = a[0] * b[1] - a[1] * b[0];
    if (std::abs(value) > 4 * kEpsilon) return value > 0 ? 1 : -1;
    return (WideFloat(a[0]) * WideFloat(b[1]) - WideFloat(a[1]) * WideFloat(b[0])).sign();
  }
};

/// In R^3: a convex polygon on the sphere by the normals of its sides, in cyclic order. The corner between sides a and
/// b is a x b.
class Polygon {
 public:
  /// `start`: three independent normals.
  Share share(const std::vector<Vector3>& normals, const std::array<int, 3>& start) {
    slack_ = 0;
    std::array<Vector3, 3> first;
    for (std::size_t k = 0; k < 3; ++k) first[k] = normals[static_cast<std::size_t>(start[k])];
    if (sign_at(corner(first[0], first[1]), first[2]) < 0) std::swap(first[0], first[1]);
    corners_.clear();
    for (std::size_t k = 0; k < 3; ++k) corners_.push_back(corner(first[k], first[(k + 1) % 3]));
    for (const Vector3& normal : normals) {
      if (!cut(normal)) return {0, slack_};
    }
    return area();
  }

 private:
  struct Corner {
    Vector3 from, to;  // normals of the side before it and of the one behind
    Vector3 point;     // good to 4 epsilon
  };

  static Corner corner(const Vector3& from, const Vector3& to) { return {from, to, from.cross(to)}; }
  static Wide3 exact_point(const Corner& at) { return at.from.cast<WideFloat>().cross(at.to.cast<WideFloat>()); }

  int sign_at(const Corner& at, const Vector3& normal) {
    const double value = at.point.dot(normal);
    if (std::abs(value) > 16 * kEpsilon) return value > 0 ? 1 : -1;
    const Wide3 point = exact_point(at);
    const WideFloat exact = point.dot(normal.cast<WideFloat>());
    if (std::abs(static_cast<double>(exact)) > kWide) return exact.sign();
    // Within this distance of the corner: so thin is what the side cuts off, or leaves.
    slack_ = std::max(slack_, kWide / static_cast<double>(sqrt(point.dot(point))));
    return 0;
  }

  /// Cuts off what is on the negative side; false if nothing is left.
  bool cut(const Vector3& normal) {
    signs_.clear();
    for (const Corner& at : corners_) signs_.push_back(sign_at(at, normal));
    if (*std::max_element(signs_.begin(), signs_.end()) <= 0) return false;
    const std::size_t m = corners_.size();
    const auto outside = [&](std::size_t k) { return signs_[k % m] < 0; };
    std::size_t begin = 0;
    while (begin < m && !(outside(begin) && !outside(begin + m - 1))) ++begin;
    if (begin == m) return true;
    std::size_t end = begin + 1;  // behind the last of the corners that are cut off
    while (outside(end)) ++end;
    kept_.clear();
    for (std::size_t k = end; k < begin + m; ++k) kept_.push_back(corners_[k % m]);
    kept_.push_back(corner(corners_[begin].from, normal));
    kept_.push_back(corner(normal, corners_[(end - 1) % m].to));
    corners_.swap(kept_);
    return true;
  }

  /// Triangles from the first corner.
  Share area() {
    points_.clear();
    errors_.clear();
    for (const Corner& at : corners_) {
      const Wide3 point = exact_point(at);
      const WideFloat norm = sqrt(point.dot(point));
      points_.push_back(point / norm);
      errors_.push_back(kWide / static_cast<double>(norm));
    }
    Share sum{0, slack_};
    for (std::size_t k = 1; k + 1 < points_.size(); ++k) {
      const Wide3 &a = points_[0], &b = points_[k], &c = points_[k + 1];
      const double volume = static_cast<double>(a.dot(b.cross(c)));
      const double rest = static_cast<double>(WideFloat(1) + a.dot(b) + b.dot(c) + c.dot(a));
      const double error = 3 * (errors_[0] + errors_[k] + errors_[k + 1] + kWide);
      const double triangle = std::atan2(std::max(volume, 0.0), rest) / (2 * kPi);
      sum.value += triangle;
      sum.error += 2 * kEpsilon * triangle + std::min(1.0, error / std::hypot(volume, rest));
    }
    return sum;
  }

  double slack_ = 0;
  std::vector<Corner> corners_, kept_;
  std::vector<int> signs_;
  std::vector<Wide3> points_;
  std::vector<double> errors_;
};

/// Three rows that are far from dependent, where there are such.
std::array<int, 3> independent_rows(const RowMatrix& rows) {
  Index a = 0, b = 0, c = 0;
  rows.rowwise().squaredNorm().maxCoeff(&a);
  const Vector3 first = rows.row(a);
  const auto largest = [&](const auto& size, Index& best) {
    double most = -1;
    for (Index j = 0; j < rows.rows(); ++j) {
      const double value = size(rows.row(j).transpose().cast<WideFloat>());
      if (value > most) {
        most = value;
        best = j;
      }
    }
    require(most > 0, "rows must have rank r");
  };
  const Wide3 wide = first.cast<WideFloat>();
  largest([&](const Wide3& row) { return static_cast<double>(wide.cross(row).squaredNorm()); }, b);
  const Wide3 normal = wide.cross(Wide3(rows.row(b).transpose().cast<WideFloat>()));
  largest([&](const Wide3& row) { return std::abs(static_cast<double>(normal.dot(row))); }, c);
  return {static_cast<int>(a), static_cast<int>(b), static_cast<int>(c)};
}

}  // namespace

void cone_measure(const RowMatrixView& rows, const WordMatrixView& words, Eigen::Ref<Vector> measure,
                  Eigen::Ref<Vector> error, int n_threads, Monitor& monitor) {
  const Index n = rows.rows(), r = rows.cols(), p = words.rows();
  require(r == 2 || r == 3, "rows must have 2 or 3 columns");
  require(words.cols() == words_for(n), "words must be (n_patterns, ceil(n_samples / 64))");
  require(measure.size() == p && error.size() == p, "measure and error must have one entry per pattern");
  std::vector<Index> live;
  const RowMatrix scaled = rows_of_one_size(rows, live);
  require(!live.empty(), "rows must not all be zero");
  const std::array<int, 3> start = r == 3 ? independent_rows(scaled) : std::array<int, 3>();

  constexpr Index kPiece = 1 << 12;  // cones between two looks at the monitor
  for (Index begin = 0; begin < p; begin += kPiece) {
    parallel_ranges(std::min(kPiece, p - begin), n_threads, 1, [&](int, Index from, Index to) {
      std::vector<Vector2> flat;
      std::vector<Vector3> solid;
      Polygon polygon;
      for (Index i = begin + from; i < begin + to; ++i) {
        flat.clear();
        solid.clear();
        for (std::size_t at = 0; at < live.size(); ++at) {
          const double sign = (words(i, live[at] / 64) >> (live[at] % 64)) & 1 ? 1 : -1;
          const auto row = scaled.row(static_cast<Index>(at));
          if (r == 2) {
            flat.emplace_back(sign * row.transpose());
          } else {
            solid.emplace_back(sign * row.transpose());
          }
        }
        const Share share = r == 2 ? Arc().share(flat) : polygon.share(solid, start);
        measure[i] = share.value;
        error[i] = share.error;
      }
    });
    monitor.poll();
  }
}

}  // namespace cvxrelu
