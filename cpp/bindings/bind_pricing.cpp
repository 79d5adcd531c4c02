#include "border.hpp"
#include "cvxrelu/cones/cell_walk.hpp"
#include "cvxrelu/cones/cone_list.hpp"
#include "cvxrelu/cones/direction_tree.hpp"
#include "cvxrelu/cones/pricing_tree.hpp"
#include "cvxrelu/masks/bits.hpp"

namespace cvxrelu {

namespace {

/// Says stop after some seconds.
class TimedMonitor final : public Monitor {
 public:
  explicit TimedMonitor(double seconds)
      : deadline_(std::chrono::steady_clock::now() +
                  std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                      std::chrono::duration<double>(std::min(seconds, kMostSeconds)))) {}
  bool report(const Progress&) override {
    monitor_.poll();
    return std::chrono::steady_clock::now() < deadline_;
  }

 private:
  static constexpr double kMostSeconds = 1e9;  // that a clock can count
  PyMonitor monitor_{py::none()};
  std::chrono::steady_clock::time_point deadline_;
};

py::dict direction_dict(const DirectionResult& result, Index n_features) {
  const Index size = static_cast<Index>(result.found.size());
  RowMatrix points(size, n_features);
  Vector values(size);
  std::vector<int> signs;
  for (Index k = 0; k < size; ++k) {
    const FoundDirection& found = result.found[static_cast<std::size_t>(k)];
    points.row(k) = found.point.transpose();
    values[k] = found.value;
    signs.push_back(found.sign);
  }
  py::list rounds;
  for (const DirectionRound& round : result.rounds)
    rounds.append(py::make_tuple(round.tolerance, round.bound, round.n_nodes));
  py::dict out;
  out["bound"] = result.bound;
  out["value"] = result.value;
  out["points"] = std::move(points);
  out["values"] = std::move(values);
  out["signs"] = signs;
  out["n_nodes"] = result.n_nodes;
  out["complete"] = result.complete;
  out["rounds"] = rounds;
  return out;
}

}  // namespace

void bind_pricing(py::module_& m) {
  m.attr("MOST_DIRECTION_FEATURES") = kMostDirectionFeatures;
  m.def(
      "price_patterns",
      [](const RowMatrixView& X, const WordMatrixView& words, const VectorView& theta, double threshold,
         int n_threads) {
        PyMonitor monitor{py::none()};
        Pricing pricing;
        {
          const py::gil_scoped_release release;
          ConeList list(X, n_threads, monitor);
          list.append(words);
          pricing = list.price(theta, threshold, 2 * list.size());
        }
        std::vector<std::int64_t> patterns;
        std::vector<double> norms;
        for (const Violation& violation : pricing.violations) {
          patterns.push_back(violation.cone.pattern);
          norms.push_back(violation.norm);
        }
        return py::make_tuple(pricing.bound, patterns, norms);
      },
      py::arg("X").noconvert(), py::arg("words").noconvert(), py::arg("theta").noconvert(), py::arg("threshold"),
      py::arg("n_threads"),
      "A bound on max_i max_s ||P_{K_i}(s X' D_i theta)||, at least the threshold, and the patterns above it.");
  m.def(
      "price_by_tree",
      [](const RowMatrixView& X, const VectorView& theta, double threshold, double enough, Index max_nodes,
         double max_seconds) {
        PyMonitor monitor{py::none()};
        TreeResult result;
        {
          const py::gil_scoped_release release;
          result = price_by_tree(X, theta, {threshold, enough, max_nodes, max_seconds}, monitor);
        }
        py::dict out;
        out["bound"] = result.bound;
        out["value"] = result.value;
        out["point"] = std::move(result.point);
        out["n_nodes"] = result.n_nodes;
        out["complete"] = result.complete;
        return out;
      },
      py::arg("X").noconvert(), py::arg("theta").noconvert(), py::arg("threshold"), py::arg("enough"),
      py::arg("max_nodes"), py::arg("max_seconds"), "max theta.(X u)_+ over the unit ball by branch and bound.");
  m.def(
      "price_by_directions",
      [](const RowMatrixView& X, const VectorView& theta, double threshold, double accuracy, bool until_found,
         Index max_nodes, double max_seconds, int n_threads) {
        TimedMonitor monitor(max_seconds);
        DirectionResult result;
        {
          const py::gil_scoped_release release;
          result = price_by_directions(X, theta, {threshold, accuracy, until_found, max_nodes, n_threads}, monitor);
        }
        return direction_dict(result, X.cols());
      },
      py::arg("X").noconvert(), py::arg("theta").noconvert(), py::arg("threshold"), py::arg("accuracy") = 1e-9,
      py::arg("until_found") = false, py::arg("max_nodes") = 1000000, py::arg("max_seconds") = 1e300,
      py::arg("n_threads") = 1, "max |theta.(X u)_+| over the unit ball by subdivision of directions.");
  m.def(
      "walk_cells",
      [](const RowMatrixView& X, const VectorView& theta, const RowMatrixView& starts, double threshold,
         const std::vector<int>& signs, double max_seconds) {
        PyMonitor monitor{py::none()};
        std::vector<WalkEnd> ends;
        double best = 0;
        {
          const py::gil_scoped_release release;
          const UnitRows rows(X);
          ends = walk_cells(X, rows, theta, starts, signs, threshold, max_seconds, monitor, best);
        }
        const Index size = static_cast<Index>(ends.size());
        WordMatrix words(size, words_for(X.rows()));
        RowMatrix points(size, X.cols());
        Vector norms(size);
        for (Index k = 0; k < size; ++k) {
          const WalkEnd& end = ends[static_cast<std::size_t>(k)];
          for (Index w = 0; w < words.cols(); ++w) words(k, w) = end.pattern[static_cast<std::size_t>(w)];
          points.row(k) = end.point.transpose();
          norms[k] = end.norm;
        }
        return py::make_tuple(std::move(words), std::move(points), std::move(norms), best);
      },
      py::arg("X").noconvert(), py::arg("theta").noconvert(), py::arg("starts").noconvert(), py::arg("threshold"),
      py::arg("signs") = std::vector<int>(), py::arg("max_seconds") = 1e300,
      "Patterns found by walks with the sign of each start (both for 0 or none given), the unit vectors that attain "
      "their norms, the norms, the largest.");
  m.def(
      "least_distance",
      [](const RowMatrixView& X, const WordMatrixView& words, const RowMatrixView& bounds) {
        PyMonitor monitor{py::none()};
        const py::gil_scoped_release release;
        return least_distance(X, words, bounds, monitor);
      },
      py::arg("X").noconvert(), py::arg("words").noconvert(), py::arg("bounds").noconvert(),
      "For each pattern the shortest z with s_j x_j.z >= bounds_ij; zero where none was found.");
}

}  // namespace cvxrelu
