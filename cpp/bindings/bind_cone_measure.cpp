#include "border.hpp"
#include "cvxrelu/arrangement/cone_measure.hpp"
#include "cvxrelu/arrangement/solid_angle.hpp"

namespace cvxrelu {

void bind_cone_measure(py::module_& m) {
  m.def(
      "cone_measure",
      [](const RowMatrixView& rows, const WordMatrixView& words, const RowMatrixView& gates, int n_threads) {
        Vector measure(words.rows());
        PyMonitor monitor{py::none()};
        {
          const py::gil_scoped_release release;
          cone_measure(rows, words, gates, measure, n_threads, monitor);
        }
        return measure;
      },
      py::arg("rows").noconvert(), py::arg("words").noconvert(), py::arg("gates").noconvert(), py::arg("n_threads"),
      "Gaussian measure of cones of rank 2 or 3.");
  m.def(
      "solid_angles",
      [](const RowMatrixView& rows, const WordMatrixView& words, const RowMatrixView& centers, int n_threads) {
        Vector measure(words.rows()), error(words.rows());
        PyMonitor monitor{py::none()};
        {
          const py::gil_scoped_release release;
          solid_angles(rows, words, centers, measure, error, n_threads, monitor);
        }
        return py::make_tuple(measure, error);
      },
      py::arg("rows").noconvert(), py::arg("words").noconvert(), py::arg("centers").noconvert(), py::arg("n_threads"),
      "Gaussian measure of cones of rank 4 or 5, and error estimates.");
}

}  // namespace cvxrelu
