#include "border.hpp"
#include "cvxrelu/gated/gate_search.hpp"

namespace cvxrelu {

void bind_gate_search(py::module_& m) {
  m.def(
      "search_gates",
      [](const RowMatrixView& X, const RowMatrixView& theta, const RowMatrixView& gates,
         const RowMatrixView& directions, int n_threads) {
        RowMatrix found = gates;
        Vector norms;
        PyMonitor monitor{py::none()};
        {
          const py::gil_scoped_release release;
          norms = search_gates(X, theta, found, directions, n_threads, monitor);
        }
        return py::make_tuple(std::move(found), std::move(norms));
      },
      py::arg("X").noconvert(), py::arg("theta").noconvert(), py::arg("gates").noconvert(),
      py::arg("directions").noconvert(), py::arg("n_threads"),
      "Moves gates along circles to cells with larger ||X' D theta||; returns the gates and the norms.");
}

}  // namespace cvxrelu
