#include "border.hpp"
#include "cvxrelu/algebra/symmetric.hpp"
#include "cvxrelu/kernels/mkl.hpp"

namespace cvxrelu {

void bind_mkl(py::module_& m) {
  m.def(
      "reweight_kernels",
      [](const RowMatrixView& X, const WordMatrixView& words, const MatrixView& Y, const MatrixView& unpenalised,
         double beta, const VectorView& eta, double tol, Index max_iter, bool simplex, double relaxation, int n_threads,
         py::object callback) {
        MklResult result;
        {
          PyMonitor monitor(std::move(callback));
          const py::gil_scoped_release release;
          const MaskedDesign design(X, words, n_threads, monitor);
          result = reweight_kernels(design, Y, unpenalised, beta, eta, {tol, max_iter, simplex, relaxation}, monitor);
        }
        Matrix history(3, static_cast<Index>(result.history.size()));
        for (Index k = 0; k < history.cols(); ++k) {
          const MklIterate& at = result.history[static_cast<std::size_t>(k)];
          history.col(k) << at.objective, at.kernel_objective, at.gap;
        }
        py::dict out;
        out["history"] = std::move(history);
        out["best"] = result.best;
        out["coef"] = std::move(result.coef);
        out["eta"] = std::move(result.eta);
        out["stopped"] = result.stopped;
        out["solved"] = result.solved;
        return out;
      },
      py::arg("X").noconvert(), py::arg("words").noconvert(), py::arg("Y").noconvert(),
      py::arg("unpenalised").noconvert(), py::arg("beta"), py::arg("eta").noconvert(), py::kw_only(), py::arg("tol"),
      py::arg("max_iter"), py::arg("simplex"), py::arg("relaxation"), py::arg("n_threads"), py::arg("callback"),
      "Iterative reweighting of masking kernels. `history` has the rows objective, kernel objective and gap.");
  m.def(
      "solve_spd",
      [](const RowMatrixView& A, const MatrixView& B, int n_threads, bool inverse_diagonal) {
        Matrix factor = A.transpose();  // no change to a symmetric matrix, and a plain copy
        Matrix solution = B;
        std::optional<Vector> diagonal;
        PyMonitor monitor(py::none{});
        {
          const py::gil_scoped_release release;
          require(cholesky(factor, n_threads, monitor), "the matrix is not positive definite");
          solve_lower(factor, solution, n_threads, monitor);
          factor.triangularView<Eigen::Lower>().transpose().solveInPlace(solution);
          if (inverse_diagonal) diagonal = cvxrelu::inverse_diagonal(factor, n_threads, monitor);
        }
        return std::pair(std::move(solution), std::move(diagonal));
      },
      py::arg("A").noconvert(), py::arg("B").noconvert(), py::arg("n_threads"), py::kw_only(),
      py::arg("inverse_diagonal"),
      "Solution of A X = B, A symmetric positive definite, and where it is asked for the diagonal of its inverse.");
}

}  // namespace cvxrelu
