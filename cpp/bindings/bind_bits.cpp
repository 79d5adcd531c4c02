#include "border.hpp"
#include "cvxrelu/masks/bits.hpp"

namespace cvxrelu {

void bind_bits(py::module_& m) {
  m.def(
      "pack_patterns",
      [](const RowMatrixView& X, const RowMatrixView& gates, int n_threads) {
        WordMatrix words(gates.rows(), words_for(X.rows()));
        Vector margin(gates.rows());
        PyMonitor monitor{py::none()};
        {
          const py::gil_scoped_release release;
          pack_patterns(X, gates, words, margin, n_threads, monitor);
        }
        return py::make_tuple(std::move(words), std::move(margin));
      },
      py::arg("X").noconvert(), py::arg("gates").noconvert(), py::arg("n_threads"),
      "Packed patterns of gates on samples, and the margin of each gate.");
}

}  // namespace cvxrelu
