#include "border.hpp"
#include "cvxrelu/masks/bits.hpp"
#include "cvxrelu/cones/cell_walk.hpp"
#include "cvxrelu/cones/cone_list.hpp"
#include "cvxrelu/cones/pricing_tree.hpp"

namespace cvxrelu {

void bind_pricing(py::module_& m) {
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
