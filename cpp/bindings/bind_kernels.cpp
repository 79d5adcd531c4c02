#include "border.hpp"
#include "cvxrelu/kernels/masking_kernel.hpp"
#include "cvxrelu/kernels/ntk.hpp"

namespace cvxrelu {

namespace {

using ArrayOut = py::array_t<double, py::array::c_style>;

/// A matrix that NumPy allocates, which asks for huge pages: touching new small pages costs more than the kernel.
ArrayOut new_matrix(Index rows, Index cols) { return ArrayOut({rows, cols}); }

Eigen::Map<RowMatrix> view(ArrayOut& array) { return {array.mutable_data(), array.shape(0), array.shape(1)}; }

}  // namespace

void bind_kernels(py::module_& m) {
  py::enum_<NtkKind>(m, "NtkKind", "Which gradients a neural tangent kernel counts.")
      .value("gated", NtkKind::gated)
      .value("gated_both", NtkKind::gated_both)
      .value("relu", NtkKind::relu);
  m.def(
      "ntk",
      [](const RowMatrixView& X, const std::optional<RowMatrixView>& Z, NtkKind kind, int depth, int n_threads) {
        ArrayOut out = new_matrix(Z ? Z->rows() : X.rows(), X.rows());
        auto values = view(out);
        PyMonitor monitor(py::none{});
        {
          const py::gil_scoped_release release;
          if (Z)
            ntk(X, *Z, kind, depth, values, n_threads, monitor);
          else
            ntk(X, kind, depth, values, n_threads, monitor);
        }
        return out;
      },
      py::arg("X").noconvert(), py::arg("Z").noconvert(), py::arg("kind"), py::arg("depth"), py::arg("n_threads"),
      "Neural tangent kernel of infinite width of the rows of Z (of X when Z is None) with those of X.");
  m.def(
      "masking_kernel",
      [](const RowMatrixView& X, const WordMatrixView& words, const VectorView& weights, int n_threads) {
        ArrayOut out = new_matrix(X.rows(), X.rows());
        auto values = view(out);
        PyMonitor monitor(py::none{});
        {
          const py::gil_scoped_release release;
          masking_kernel(X, words, weights, values, n_threads, monitor);
        }
        return out;
      },
      py::arg("X").noconvert(), py::arg("words").noconvert(), py::arg("weights").noconvert(), py::arg("n_threads"),
      "Weighted sum of masking kernels of the rows of X with themselves.");
  m.def(
      "masking_kernel",
      [](const RowMatrixView& X, const WordMatrixView& words, const RowMatrixView& Z, const WordMatrixView& z_words,
         const VectorView& weights, int n_threads) {
        ArrayOut out = new_matrix(Z.rows(), X.rows());
        auto values = view(out);
        PyMonitor monitor(py::none{});
        {
          const py::gil_scoped_release release;
          masking_kernel(X, words, Z, z_words, weights, values, n_threads, monitor);
        }
        return out;
      },
      py::arg("X").noconvert(), py::arg("words").noconvert(), py::arg("Z").noconvert(), py::arg("z_words").noconvert(),
      py::arg("weights").noconvert(), py::arg("n_threads"),
      "Weighted sum of masking kernels of the rows of Z with those of X.");
}

}  // namespace cvxrelu
