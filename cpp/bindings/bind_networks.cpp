#include "border.hpp"
#include "cvxrelu/networks/evaluate.hpp"

namespace cvxrelu {

void bind_networks(py::module_& m) {
  m.def(
      "evaluate_network",
      [](const RowMatrixView& Z, const RowMatrixView& W1, const RowMatrixView& gates, const RowMatrixView& w2,
         bool bias, int n_threads) {
        RowMatrix values(Z.rows(), w2.cols());
        PyMonitor monitor{py::none()};
        {
          const py::gil_scoped_release release;
          evaluate_network(Z, {W1, gates, w2, bias}, values, n_threads, monitor);
        }
        return values;
      },
      py::arg("Z").noconvert(), py::arg("W1").noconvert(), py::arg("gates").noconvert(), py::arg("w2").noconvert(),
      py::arg("bias"), py::arg("n_threads"),
      "Values of a two-layer network; gates without rows make it a ReLU network.");
}

}  // namespace cvxrelu
