#include "cvxrelu/arrangement/solid_angle.hpp"

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

/// What the geometry is computed in.
template <class Real>
struct Precision {
  using Point = Eigen::Matrix<double, 8, 1>;  // zeros behind the rank: one vector register, or some
  static constexpr double kRounding = 0x1p-52, kParallel = 1e-12;
};
template <>
struct Precision<WideFloat> {
  using Point = Eigen::Matrix<WideFloat, 5, 1>;
  static constexpr double kRounding = 0x1p-122, kParallel = 1e-30;
};

constexpr double kWanted = 2e-14;  // geometric errors that call for 128 bits

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

template <int kRank, class Real>
class SolidAngle {
  using Point = typename Precision<Real>::Point;
  static constexpr double kRounding = Precision<Real>::kRounding, kParallel = Precision<Real>::kParallel;

 public:
  /// `rows`: the normals, in any length. `geometric`: the part of the error that more bits would mend.
  Estimate share(const RowMatrix& rows, const Vector& weights, double& geometric) {
    Faces& all = faces_[0];
    all.clear();
    facet_.assign(static_cast<std::size_t>(rows.rows()), false);
    Point center = Point::Zero();
    for (Index j = 0; j < rows.rows(); ++j) {
      Point normal = Point::Zero();
      normal.head(kRank) = rows.row(j).transpose().template cast<Real>();
      normal /= norm(normal);
      center += Real(weights[j]) * normal;
      all.add(normal, 2 * kRounding, j);
    }
    total_ = Estimate();
    geometric_ = 0;
    // No ball in the polytope has a larger radius, which no convex polytope is much wider than.
    const double radius = number(norm(center)) / weights.sum();
    geometric = radius;
    if (!(radius > kRounding)) return {0, kRank * std::max(radius, 0.0)};
    drop_parallel(all);
    descend<0>(center / norm(center), 0, 1);
    geometric = geometric_ * 0.5;
    return {std::max(total_.value, 0.0) / kSphere, total_.error / kSphere + geometric};
  }

  /// Whether a row has a facet, or may have one, after `share`; no other row counts.
  bool may_be_facet(Index row) const { return facet_[static_cast<std::size_t>(row)]; }

 private:
  static constexpr double kSphere = kRank == 4 ? 2 * kPi * kPi : 8 * kPi * kPi / 3;

  /// Normals in some subspace, each with a bound on its error.
  struct Faces {
    std::vector<Point> normals;
    std::vector<double> errors;
    std::vector<Index> rows;
    void clear() {
      normals.clear();
      errors.clear();
      rows.clear();
    }
    void add(const Point& normal, double error, Index row) {
      normals.push_back(normal);
      errors.push_back(error);
      rows.push_back(row);
    }
  };

  static double number(const Real& x) { return static_cast<double>(x); }
  static Real norm(const Point& x) {
    using std::sqrt;
    return sqrt(x.dot(x));
  }

  /// Drops perpendiculars from a point to all rows, in the subspace of dimension rank - kLevel where earlier rows
  /// vanish.
  template <int kLevel>
  void descend(const Point& point, double point_error, double sign) {
    constexpr auto at = static_cast<std::size_t>(kLevel);
    const Faces &here = faces_[at], &below = faces_[at + 1];
    for (std::size_t j = 0; j < here.normals.size(); ++j) {
      const Point normal = here.normals[j];
      const Real sine = normal.dot(point);
      if constexpr (kLevel == 0) own_row_ = here.rows[j];
      if (number(sine) == 0) {  // a facet it may be, but nothing is between it and the point
        facet_[static_cast<std::size_t>(own_row_)] = true;
        continue;
      }
      restrict(here, j, faces_[at + 1]);
      if (kLevel + 3 < kRank) drop_parallel(faces_[at + 1]);
      if (below.normals.empty()) continue;
      chain_[at] = normal;
      Point foot = point - sine * normal;
      const double cosine = std::max(number(norm(foot)), 0.1 * kRounding);
      double error = (point_error + 2 * here.errors[j] + kRounding) / cosine;
      if (cosine < 0.1 * kParallel) {  // the point is the pole: any point of the face is a foot
        foot = below.normals[0];
        error = cosine + below.errors[0];
      }
      for (int round = 0; round < 2; ++round) {
        foot /= norm(foot);
        for (std::size_t l = 0; l <= at; ++l) foot -= chain_[l].dot(foot) * chain_[l];
      }
      error_[at] = error;
      sine_[at] = std::abs(number(sine));
      tangent_[at] = sine_[at] / cosine;
      const double turned = number(sine) > 0 ? sign : -sign;
      if constexpr (kLevel + 3 < kRank) {
        descend<kLevel + 1>(foot, error, turned);
      } else {
        edge(below, foot, error, turned);
      }
    }
  }

  /// The normals as functionals on the hyperplane of one of them.
  void restrict(const Faces& from, std::size_t own, Faces& result) {
    result.clear();
    const Point& normal = from.normals[own];
    for (std::size_t j = 0; j < from.normals.size(); ++j) {
      const Point rest = from.normals[j] - normal.dot(from.normals[j]) * normal;
      const double size = number(norm(rest)), error = from.errors[j] + 2 * from.errors[own] + kRounding;
      if (size <= kParallel) {
        if (size > 4 * error) geometric_ += size;
        continue;
      }
      result.add(rest / norm(rest), error / size, from.rows[j]);
    }
  }

  /// Keeps the first of parallel ones.
  void drop_parallel(Faces& faces) {
    std::size_t kept = 0;
    for (std::size_t j = 0; j < faces.normals.size(); ++j) {
      bool fresh = true;
      for (std::size_t k = 0; k < kept && fresh; ++k) {
        double distance = 0;
        for (Index c = 0; c < kRank; ++c) {
          distance = std::max(distance, std::abs(number(faces.normals[k][c] - faces.normals[j][c])));
        }
        fresh = distance > kParallel;
        if (!fresh && distance > 2 * (faces.errors[k] + faces.errors[j])) {
          geometric_ += distance;
          facet_[static_cast<std::size_t>(faces.rows[j])] = true;
        }
      }
      if (!fresh) continue;
      faces.normals[kept] = faces.normals[j];
      faces.errors[kept] = faces.errors[j];
      faces.rows[kept++] = faces.rows[j];
    }
    faces.normals.resize(kept);
    faces.errors.resize(kept);
    faces.rows.resize(kept);
  }

  /// The arc that the rows leave of a great circle, seen from the foot on it.
  void edge(const Faces& faces, const Point& foot, double foot_error, double sign) {
    Point along = Point::Zero();
    double longest = 0, error = foot_error;
    for (const Point& normal : faces.normals) {
      const Point side = normal - normal.dot(foot) * foot;
      const double size = number(side.dot(side));
      if (size > longest) {
        longest = size;
        along = side;
      }
    }
    if (longest == 0) return;
    along /= norm(along);
    double from = -kPi / 2, to = kPi / 2;
    for (std::size_t j = 0; j < faces.normals.size(); ++j) {
      const double a = number(faces.normals[j].dot(foot)), b = number(faces.normals[j].dot(along));
      if (b > kParallel) {
        from = std::max(from, std::atan2(-a, b));
      } else if (b < -kParallel) {
        to = std::min(to, std::atan2(a, -b));
      } else if (a < 0) {
        return;
      }
      error = std::max(error, foot_error + faces.errors[j]);
    }
    if (!(from < to)) {
      if (from - to < 2 * error) {
        geometric_ += error;
        facet_[static_cast<std::size_t>(own_row_)] = true;
      }
      return;
    }
    facet_[static_cast<std::size_t>(own_row_)] = true;
    const double sine = sine_[kRank - 3];
    const auto azimuth = [sine](double theta) { return std::atan2(std::sin(theta), sine * std::cos(theta)); };
    const Estimate part = integrate([this](double phi) { return section(phi); }, azimuth(from), azimuth(to));
    total_.value += sign * part.value;
    total_.error += part.error + 4 * std::numeric_limits<double>::epsilon() * std::abs(part.value);
    geometric_ += 2 * error;
    for (const double moved : error_) geometric_ += moved;
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

  std::array<Faces, kRank - 1> faces_;                          // by the number of rows that vanish
  std::array<Point, kRank - 2> chain_;                          // those rows, made orthonormal
  std::array<double, kRank - 2> sine_{}, tangent_{}, error_{};  // of the perpendiculars, and of their feet
  std::vector<bool> facet_;                                     // by row
  Index own_row_ = 0;                                           // of the facet that is measured
  Estimate total_;
  double geometric_ = 0;
};

template <int kRank>
void measure_cones(const RowMatrix& scaled, const std::vector<Index>& live, const WordMatrixView& words,
                   const RowMatrixView& weights, Eigen::Ref<Vector> measure, Eigen::Ref<Vector> error, int n_threads,
                   Monitor& monitor) {
  const Index p = words.rows();
  constexpr Index kPiece = 16;  // cones between two looks at the monitor, for each thread
  const Index piece = kPiece * std::max(n_threads, 1);
  for (Index begin = 0; begin < p; begin += piece) {
    parallel_ranges(std::min(piece, p - begin), n_threads, 1, [&](int, Index from, Index to) {
      SolidAngle<kRank, double> plain;
      SolidAngle<kRank, WideFloat> wide;
      RowMatrix normals(scaled.rows(), scaled.cols());
      Vector own(scaled.rows());
      for (Index i = begin + from; i < begin + to; ++i) {
        for (Index at = 0; at < scaled.rows(); ++at) {
          const Index j = live[static_cast<std::size_t>(at)];
          normals.row(at) = ((words(i, j / 64) >> (j % 64)) & 1 ? 1 : -1) * scaled.row(at);
          own[at] = weights(i, j);
        }
        double geometric = 0;
        Estimate share = plain.share(normals, own, geometric);
        if (!(geometric <= kWanted)) {
          // Rows without a facet change nothing, and make most of the work; g is to stay where it is.
          std::vector<Index> rows;
          for (Index at = 0; at < scaled.rows(); ++at) {
            if (!(geometric < 0.1) || plain.may_be_facet(at) || own[at] > 0) rows.push_back(at);
          }
          share = wide.share(normals(rows, Eigen::all), own(rows), geometric);
        }
        measure[i] = share.value;
        error[i] = share.error;
      }
    });
    monitor.poll();
  }
}

}  // namespace

void solid_angles(const RowMatrixView& rows, const WordMatrixView& words, const RowMatrixView& weights,
                  Eigen::Ref<Vector> measure, Eigen::Ref<Vector> error, int n_threads, Monitor& monitor) {
  const Index n = rows.rows(), r = rows.cols(), p = words.rows();
  require(r == 4 || r == 5, "rows must have 4 or 5 columns");
  require(weights.rows() == p && weights.cols() == n, "weights must be (n_patterns, n_samples)");
  require(words.cols() == words_for(n), "words must be (n_patterns, ceil(n_samples / 64))");
  require(measure.size() == p && error.size() == p, "measure and error must have one entry per pattern");
  std::vector<Index> live;
  const RowMatrix scaled = rows_of_one_size(rows, live);
  if (r == 4) {
    measure_cones<4>(scaled, live, words, weights, measure, error, n_threads, monitor);
  } else {
    measure_cones<5>(scaled, live, words, weights, measure, error, n_threads, monitor);
  }
}

}  // namespace cvxrelu
