#include "border.hpp"
#include "cvxrelu/group_lasso.hpp"

namespace cvxrelu {

namespace {

InnerSolver inner_solver(const std::string& name) {
  if (name == "auto") return InnerSolver::automatic;
  if (name == "newton") return InnerSolver::newton;
  require(name == "bcd", "solver must be auto, newton or bcd");
  return InnerSolver::bcd;
}

}  // namespace

void bind_group_lasso(py::module_& m) {
  m.def(
      "solve_group_lasso",
      [](const RowMatrixView& X, const WordMatrixView& words, const MatrixView& Y, double beta,
         const VectorView& group_weights, double ridge, const MatrixView& unpenalised, const MatrixView& start,
         double tol, Index max_iter, const std::string& solver, int n_threads, py::object callback) {
        PyMonitor monitor(std::move(callback));
        GroupLassoSettings settings;
        settings.tol = tol;
        settings.max_iter = max_iter;
        settings.solver = inner_solver(solver);
        GroupLassoResult result;
        {
          const py::gil_scoped_release release;
          const MaskedDesign design(X, words, n_threads, monitor);
          result = solve_group_lasso({design, Y, beta, group_weights, ridge, unpenalised}, settings, start, monitor);
        }
        py::dict out;
        out["coef"] = std::move(result.coef);
        out["dual"] = std::move(result.dual);
        out["objective"] = result.objective;
        out["dual_objective"] = result.dual_objective;
        out["gap"] = result.gap;
        out["relative_gap"] = result.relative_gap;
        out["n_iter"] = result.n_iter;
        out["n_sweeps"] = result.n_sweeps;
        out["n_newton"] = result.n_newton;
        out["n_cg"] = result.n_cg;
        out["n_direct"] = result.n_direct;
        out["converged"] = result.converged;
        return out;
      },
      py::arg("X").noconvert(), py::arg("words").noconvert(), py::arg("Y").noconvert(), py::arg("beta"),
      py::arg("group_weights").noconvert(), py::arg("ridge"), py::arg("unpenalised").noconvert(),
      py::arg("start").noconvert(), py::arg("tol"), py::arg("max_iter"), py::arg("solver"), py::arg("n_threads"),
      py::arg("callback"), "The masked group lasso.");
  m.def(
      "group_correlations",
      [](const RowMatrixView& X, const WordMatrixView& words, const MatrixView& V, int n_threads) {
        PyMonitor monitor{py::none()};
        const py::gil_scoped_release release;
        const MaskedDesign design(X, words, n_threads, monitor);
        Matrix out(X.cols() * V.cols(), words.rows());
        design.correlations(V, out);
        return out;
      },
      py::arg("X").noconvert(), py::arg("words").noconvert(), py::arg("V").noconvert(), py::arg("n_threads"),
      "vec(X' D_i V) for every pattern, as columns.");
}

}  // namespace cvxrelu
