#include "border.hpp"
#include "cvxrelu/arrangement/cone_measure.hpp"
#include "cvxrelu/arrangement/solid_angle.hpp"

namespace cvxrelu {

namespace {

/// Measures of cones and bounds on their errors.
template <class Compute>
py::tuple measured(Index n_cones, const Compute& compute) {
  Vector measure(n_cones), error(n_cones);
  PyMonitor monitor{py::none()};
  {
    const py::gil_scoped_release release;
    compute(measure, error, monitor);
  }
  return py::make_tuple(measure, error);
}

}  // namespace

void bind_cone_measure(py::module_& m) {
  m.def(
      "cone_measure",
      [](const RowMatrixView& rows, const WordMatrixView& words, int n_threads) {
        return measured(words.rows(), [&](Vector& measure, Vector& error, Monitor& monitor) {
          cone_measure(rows, words, measure, error, n_threads, monitor);
        });
      },
      py::arg("rows").noconvert(), py::arg("words").noconvert(), py::arg("n_threads"),
      "Gaussian measure of cones of rank 2 or 3, and bounds on the rounding errors.");
  m.def(
      "solid_angles",
      [](const RowMatrixView& rows, const WordMatrixView& words, const RowMatrixView& weights, int n_threads) {
        return measured(words.rows(), [&](Vector& measure, Vector& error, Monitor& monitor) {
          solid_angles(rows, words, weights, measure, error, n_threads, monitor);
        });
      },
      py::arg("rows").noconvert(), py::arg("words").noconvert(), py::arg("weights").noconvert(), py::arg("n_threads"),
      "Gaussian measure of cones of rank 4 or 5, and error estimates.");
}

}  // namespace cvxrelu
