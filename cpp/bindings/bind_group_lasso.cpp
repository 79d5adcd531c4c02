#include <algorithm>

#include "border.hpp"
#include "cvxrelu/gated/duality.hpp"
#include "cvxrelu/gated/group_lasso.hpp"
#include "cvxrelu/gated/working_set.hpp"
#include "solved_path.hpp"

namespace cvxrelu {

namespace {

const char* name_of(InnerSolver solver) {
  switch (solver) {
    case InnerSolver::automatic:
      return "auto";
    case InnerSolver::newton:
      return "newton";
    case InnerSolver::dual:
      return "dual";
    case InnerSolver::bcd:
      return "bcd";
  }
  return "";
}

}  // namespace

InnerSolver inner_solver(const std::string& name) {
  for (const InnerSolver s : {InnerSolver::automatic, InnerSolver::newton, InnerSolver::dual, InnerSolver::bcd})
    if (name == name_of(s)) return s;
  throw std::invalid_argument("solver must be auto, newton, dual or bcd");
}

py::dict to_dict(GroupLassoResult& result) {
  py::dict out;
  out["beta"] = result.beta;
  out["active"] = py::array_t<std::int64_t>(static_cast<py::ssize_t>(result.active.size()), result.active.data());
  out["blocks"] = std::move(result.blocks);
  out["dual"] = std::move(result.dual);
  out["objective"] = result.objective;
  out["gap"] = result.gap;
  out["relative_gap"] = result.relative_gap;
  out["n_iter"] = result.n_iter;
  out["n_sweeps"] = result.n_sweeps;
  out["n_newton"] = result.n_newton;
  out["n_cg"] = result.n_cg;
  out["n_direct"] = result.n_direct;
  out["converged"] = result.converged;
  py::tuple inner(result.inner.size());
  for (std::size_t k = 0; k < result.inner.size(); ++k) inner[k] = name_of(result.inner[k]);
  out["inner_solvers"] = std::move(inner);
  return out;
}

void bind_group_lasso(py::module_& m) {
  py::enum_<BlockNorm>(m, "BlockNorm").value("frobenius", BlockNorm::frobenius).value("nuclear", BlockNorm::nuclear);
  m.def(
      "solve_group_lasso",
      [](const RowMatrixView& X, const WordMatrixView& words, const MatrixView& Y, const std::vector<double>& betas,
         const VectorView& group_weights, double ridge, const MatrixView& unpenalised, BlockNorm block_norm,
         const MatrixView& start, double tol, Index max_iter, const std::string& solver, int n_threads,
         py::object callback, bool keep) {
        PyMonitor monitor(std::move(callback));
        GroupLassoSettings settings;
        settings.tol = tol;
        settings.max_iter = max_iter;
        settings.solver = inner_solver(solver);
        return solved_path(keep, [&](std::vector<GroupLassoResult>& path) {
          const MaskedDesign design(X, words, n_threads, monitor);
          solve_group_lasso({design, Y, 0.0, group_weights, ridge, unpenalised, block_norm}, betas, settings, start,
                            monitor, path);
        });
      },
      py::arg("X").noconvert(), py::arg("words").noconvert(), py::arg("Y").noconvert(), py::arg("betas"), py::kw_only(),
      py::arg("group_weights").noconvert(), py::arg("ridge"), py::arg("unpenalised").noconvert(), py::arg("block_norm"),
      py::arg("start").noconvert(), py::arg("tol"), py::arg("max_iter"), py::arg("solver"), py::arg("n_threads"),
      py::arg("callback"), py::arg("keep"),
      "The masked group lasso for each penalty, and whether Ctrl-C cut the path short (only where `keep` is set).");
  m.def(
      "group_lasso_gap",
      [](const RowMatrixView& X, const WordMatrixView& words, const MatrixView& Y, double beta,
         const VectorView& group_weights, double ridge, const MatrixView& unpenalised, BlockNorm block_norm,
         const MatrixView& coef, const MatrixView& dual, int n_threads) {
        PyMonitor monitor{py::none()};
        DualityGap gap;
        {
          const py::gil_scoped_release release;
          const MaskedDesign design(X, words, n_threads, monitor);
          gap = duality_gap({design, Y, beta, group_weights, ridge, unpenalised, block_norm}, coef, dual);
        }
        return py::make_tuple(gap.primal, gap.gap, gap.scale);
      },
      py::arg("X").noconvert(), py::arg("words").noconvert(), py::arg("Y").noconvert(), py::arg("beta"), py::kw_only(),
      py::arg("group_weights").noconvert(), py::arg("ridge"), py::arg("unpenalised").noconvert(), py::arg("block_norm"),
      py::arg("coef").noconvert(), py::arg("dual").noconvert(), py::arg("n_threads"),
      "Objective, duality gap and the factor that makes the dual point feasible.");
  m.def(
      "group_lasso_bound",
      [](const MatrixView& correlations, std::vector<Index> active, const MatrixView& blocks, double squared,
         double overlap, const VectorView& threshold, double ridge) {
        const DualityGap gap =
            duality_gap({std::move(active), blocks, correlations, squared, overlap}, threshold, ridge);
        return py::make_tuple(gap.primal, gap.gap, gap.scale);
      },
      py::arg("correlations").noconvert(), py::arg("active"), py::arg("blocks").noconvert(), py::arg("squared"),
      py::arg("overlap"), py::kw_only(), py::arg("threshold").noconvert(), py::arg("ridge"),
      "Objective, duality gap and the factor of the dual point, from vec(A_i' R), ||R||^2 and <Y, R>.");
  m.def(
      "working_set",
      [](std::vector<Index> groups, const VectorView& violation, const std::vector<bool>& nonzero, Index n_added) {
        require(nonzero.size() == static_cast<std::size_t>(violation.size()), "there must be a flag for each group");
        WorkingSet set(violation.size());
        for (Index i = 0; i < violation.size(); ++i)
          if (nonzero[static_cast<std::size_t>(i)] && std::find(groups.begin(), groups.end(), i) == groups.end())
            groups.push_back(i);
        set.assign(std::move(groups));
        set.update(violation, [&](Index i) { return nonzero[static_cast<std::size_t>(i)]; }, n_added);
        return set.groups();
      },
      py::arg("groups"), py::arg("violation").noconvert(), py::arg("nonzero"), py::arg("n_added"),
      "Non-zero groups, those of `groups` that are not clearly inactive, and the worst violators of the others.");
  m.def(
      "masked_correlations",
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
  m.def(
      "masked_fitted",
      [](const RowMatrixView& X, const WordMatrixView& words, const MatrixView& coef, Index n_outputs, int n_threads) {
        require(coef.rows() == X.cols() * n_outputs && coef.cols() == words.rows(), "coef must have shape (d c, p)");
        PyMonitor monitor{py::none()};
        const py::gil_scoped_release release;
        const MaskedDesign design(X, words, n_threads, monitor);
        std::vector<Index> all(static_cast<std::size_t>(words.rows()));
        for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<Index>(i);
        Matrix out(X.rows(), n_outputs);
        RestrictedDesign(design, all).fitted<double>(coef, out);
        return out;
      },
      py::arg("X").noconvert(), py::arg("words").noconvert(), py::arg("coef").noconvert(), py::arg("n_outputs"),
      py::arg("n_threads"), "sum_i D_i X W_i.");
}

}  // namespace cvxrelu
