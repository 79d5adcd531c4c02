#include "cvxrelu/arrangement/solid_angle.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "cvxrelu/masks/bits.hpp"
#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/base/parallel.hpp"
#include "cvxrelu/algebra/row_norms.hpp"

namespace cvxrelu {

namespace {

constexpr double kParallel = 1e-12;

using Point = Eigen::Matrix<double, 8, 1>;  // zeros behind the rank: one vector register, or some

double length(double x, double y) { return std::sqrt(x * x + y * y); }

struct Estimate {
  double value = 0, error = 0;
};

/// Gauss-Kronrod with 7 and 15 nodes (QUADPACK, Piessens et al. 1983), halving where the two disagree.
template <class F>
Estimate integrate(const F& f, double a, double b, int depth = 0) {
  static constexpr std::array<double, 8> kNodes = {
      0.991455371120812639206854697526329, 0.949107912342758524526189684047851,
      0.864864423359769072789712788640926, 0.741531185599394439863864773280788,
      0.586087235467691130294144691693,    0.405845151377397166906606412076961,
      0.207784955007898467600689403773245, 0};
  static constexpr std::array<double, 8> kKronrod = {
      0.022935322010529224963732008058970, 0.063092092629978553290700663189204, 0.104790010322250183839876322541518,
      0.140653259715525918745189590510238, 0.169004726639267902826583426598550, 0.190350578064785409913256402421014,
      0.204432940075298892414161999234649, 0.209482141084727828012999174891714};
  static constexpr std::array<double, 4> kGauss = {
      0.129484966168869693270611432679082, 0.279705391489276667901467771423780, 0.381830050505118944950369775488975,
      0.417959183673469387755102040816327};
  const double center = 0.5 * (a + b), half = 0.5 * (b - a);
  double kronrod = kKronrod[7] * f(center), gauss = kGauss[3] * f(center);
  for (std::size_t i = 0; i < 7; ++i) {
    const double sum = f(center - half * kNodes[i]) + f(center + half * kNodes[i]);
    kronrod += kKronrod[i] * sum;
    if (i % 2 == 1) gauss += kGauss[i / 2] * sum;
  }
  const Estimate whole{half * kronrod, std::abs(half * (kronrod - gauss))};
  if (whole.error <= 1e-14 || whole.error <= 1e-13 * std::abs(whole.value) || depth == 24) return whole;
  const Estimate left = integrate(f, a, center, depth + 1), right = integrate(f, center, b, depth + 1);
  return {left.value + right.value, left.error + right.error};
}

template <int kRank>
class SolidAngle {
 public:
  std::vector<Point>& normals() { return normals_[0]; }

  Estimate share(const Point& center) {
    const Point g = center.normalized();
    for (const Point& normal : normals_[0]) {
      if (!(normal.dot(g) > 0)) return {};
    }
    total_ = Estimate();
    drop_parallel(normals_[0]);
    descend<0>(g, 1);
    return {std::max(total_.value, 0.0) / kSphere, total_.error / kSphere};
  }

 private:
  static constexpr double kSphere = kRank == 4 ? 2 * kPi * kPi : 8 * kPi * kPi / 3;

  /// Drops perpendiculars from a point to all rows, in the subspace of dimension rank - kLevel where earlier rows
  /// vanish.
  template <int kLevel>
  void descend(const Point& point, double sign) {
    constexpr auto at = static_cast<std::size_t>(kLevel);
    for (std::size_t j = 0; j < normals_[at].size(); ++j) {
      const Point normal = normals_[at][j];
      const double sine = normal.dot(point);
      if (sine == 0) continue;
      restrict(normals_[at], normal, normals_[at + 1]);
      if (kLevel + 3 < kRank) drop_parallel(normals_[at + 1]);
      if (normals_[at + 1].empty()) continue;
      chain_[at] = normal;
      Point foot = point - sine * normal;
      const double cosine = std::max(foot.norm(), 1e-16);
      if (cosine < 1e-13) foot = normals_[at + 1][0];  // the point is the pole: any point of the face is a foot
      for (int round = 0; round < 2; ++round) {
        foot.normalize();
        for (std::size_t l = 0; l <= at; ++l) foot -= chain_[l].dot(foot) * chain_[l];
      }
      sine_[at] = std::abs(sine);
      tangent_[at] = sine_[at] / cosine;
      const double turned = sine > 0 ? sign : -sign;
      if constexpr (kLevel + 3 < kRank) {
        descend<kLevel + 1>(foot, turned);
      } else {
        edge(normals_[at + 1], foot, turned);
      }
    }
  }

  /// The normals as functionals on the hyperplane of one of them.
  static void restrict(const std::vector<Point>& normals, const Point& own, std::vector<Point>& result) {
    result.clear();
    for (const Point& normal : normals) {
      const Point rest = normal - own.dot(normal) * own;
      const double norm = rest.norm();
      if (norm <= kParallel) continue;
      result.push_back(rest / norm);
    }
  }

  /// Keeps the first of parallel ones.
  static void drop_parallel(std::vector<Point>& normals) {
    std::size_t kept = 0;
    for (const Point& normal : normals) {
      bool fresh = true;
      for (std::size_t k = 0; k < kept && fresh; ++k)
        fresh = (normals[k] - normal).lpNorm<Eigen::Infinity>() > kParallel;
      if (fresh) normals[kept++] = normal;
    }
    normals.resize(kept);
  }

  /// The arc that the rows leave of a great circle, seen from the foot on it.
  void edge(const std::vector<Point>& normals, const Point& foot, double sign) {
    Point along = Point::Zero();
    for (const Point& normal : normals) {
      const Point side = normal - normal.dot(foot) * foot;
      if (side.squaredNorm() > along.squaredNorm()) along = side;
    }
    along.normalize();
    double from = -kPi / 2, to = kPi / 2;
    for (const Point& normal : normals) {
      const double a = normal.dot(foot), b = normal.dot(along);
      if (b > kParallel) {
        from = std::max(from, std::atan2(-a, b));
      } else if (b < -kParallel) {
        to = std::min(to, std::atan2(a, -b));
      } else if (a < 0) {
        return;
      }
    }
    if (!(from < to)) return;
    const double sine = sine_[kRank - 3];
    const auto azimuth = [sine](double theta) { return std::atan2(std::sin(theta), sine * std::cos(theta)); };
    const Estimate part = integrate([this](double phi) { return section(phi); }, azimuth(from), azimuth(to));
    total_.value += sign * part.value;
    total_.error += part.error + 4 * std::numeric_limits<double>::epsilon() * std::abs(part.value);
  }

  double section(double phi) const {
    const double T = tangent_[0], e = tangent_[1] / sine_[0], cosine = std::cos(phi);
    if constexpr (kRank == 4) {
      const double c = cosine / length(e, cosine);
      return 0.5 * (std::atan(T) - c * std::atan2(T, c));
    } else {
      const double a = tangent_[2] / sine_[1], y = cosine / length(a, cosine);  // y = cos chi
      const double c = y / length(e, y), s = e / length(e, y), c0 = 1 / length(e, 1), s0 = e * c0;
      const auto G = [T](double cos, double sin) {
        const double w = length(T, cos);
        return (std::atan2(sin, cos) - std::atan2(sin, w) - sin * cos * (1 - cos / w)) / 3;
      };
      const auto L = [T](double cos) { return cos * cos * (1 - cos / length(T, cos)) / 3; };
      return G(c0, s0) - y * G(c, s) + e * (L(c0) - L(c));
    }
  }

  std::array<std::vector<Point>, kRank - 1> normals_;  // by the number of rows that vanish
  std::array<Point, kRank - 2> chain_;                 // those rows, made orthonormal
  std::array<double, kRank - 2> sine_{}, tangent_{};   // of the perpendiculars
  Estimate total_;
};

template <int kRank>
void measure_cones(const RowMatrix& unit, const WordMatrixView& words, const RowMatrixView& centers,
                   Eigen::Ref<Vector> measure, Eigen::Ref<Vector> error, int n_threads, Monitor& monitor) {
  const Index p = words.rows();
  constexpr Index kPiece = 16;  // cones between two looks at the monitor, for each thread
  const Index piece = kPiece * std::max(n_threads, 1);
  for (Index begin = 0; begin < p; begin += piece) {
    parallel_ranges(std::min(piece, p - begin), n_threads, 1, [&](int, Index from, Index to) {
      SolidAngle<kRank> angle;
      for (Index i = begin + from; i < begin + to; ++i) {
        angle.normals().clear();
        for (Index j = 0; j < unit.rows(); ++j) {
          if ((unit.row(j).array() == 0).all()) continue;
          const double sign = (words(i, j / 64) >> (j % 64)) & 1 ? 1 : -1;
          angle.normals().push_back(sign * unit.row(j).transpose());
        }
        Point center = Point::Zero();
        center.head(kRank) = centers.row(i).transpose();
        const Estimate share = angle.share(center);
        measure[i] = share.value;
        error[i] = share.error;
      }
    });
    monitor.poll();
  }
}

}  // namespace

void solid_angles(const RowMatrixView& rows, const WordMatrixView& words, const RowMatrixView& centers,
                  Eigen::Ref<Vector> measure, Eigen::Ref<Vector> error, int n_threads, Monitor& monitor) {
  const Index n = rows.rows(), r = rows.cols(), p = words.rows();
  require(r == 4 || r == 5, "rows must have 4 or 5 columns");
  require(centers.rows() == p && centers.cols() == r, "centers must be (n_patterns, rank)");
  require(words.cols() == words_for(n), "words must be (n_patterns, ceil(n_samples / 64))");
  require(measure.size() == p && error.size() == p, "measure and error must have one entry per pattern");
  RowMatrix unit = RowMatrix::Zero(n, Point::RowsAtCompileTime);
  const Vector norms = row_norms(rows);
  for (Index j = 0; j < n; ++j)
    if (norms[j] > 0) unit.row(j).head(r) = rows.row(j) / norms[j];
  if (r == 4) {
    measure_cones<4>(unit, words, centers, measure, error, n_threads, monitor);
  } else {
    measure_cones<5>(unit, words, centers, measure, error, n_threads, monitor);
  }
}

}  // namespace cvxrelu
