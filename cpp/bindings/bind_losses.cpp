#include "border.hpp"
#include "cvxrelu/gated/proximal_newton.hpp"
#include "solved_path.hpp"

namespace cvxrelu {

void bind_losses(py::module_& m) {
  m.def(
      "solve_with_loss",
      [](const RowMatrixView& X, const WordMatrixView& words, const MatrixView& Y, const VectorView& sample_weight,
         const std::string& name, double delta, const std::vector<double>& betas, const VectorView& group_weights,
         double ridge, const MatrixView& unpenalised, const MatrixView& start, double tol, Index max_iter,
         const std::string& solver, int n_threads, py::object callback, bool keep) {
        PyMonitor monitor(std::move(callback));
        GroupLassoSettings settings;
        settings.tol = tol;
        settings.max_iter = max_iter;
        settings.solver = inner_solver(solver);
        return solved_path(keep, [&](std::vector<GroupLassoResult>& path) {
          const MaskedDesign design(X, words, n_threads, monitor);
          const auto loss = make_loss(name, Y, sample_weight, delta);
          solve_with_loss({design, *loss, 0.0, group_weights, ridge, unpenalised}, betas, settings, start, monitor,
                          path);
        });
      },
      py::arg("X").noconvert(), py::arg("words").noconvert(), py::arg("Y").noconvert(),
      py::arg("sample_weight").noconvert(), py::arg("loss"), py::arg("delta"), py::arg("betas"), py::kw_only(),
      py::arg("group_weights").noconvert(), py::arg("ridge"), py::arg("unpenalised").noconvert(),
      py::arg("start").noconvert(), py::arg("tol"), py::arg("max_iter"), py::arg("solver"), py::arg("n_threads"),
      py::arg("callback"), py::arg("keep"), "As solve_group_lasso, for a loss that is not squared.");
  m.def(
      "loss_gap",
      [](const RowMatrixView& X, const WordMatrixView& words, const MatrixView& Y, const VectorView& sample_weight,
         const std::string& name, double delta, double beta, const VectorView& group_weights, double ridge,
         const MatrixView& unpenalised, const MatrixView& coef, const MatrixView& dual, int n_threads) {
        PyMonitor monitor{py::none()};
        DualityGap gap;
        {
          const py::gil_scoped_release release;
          const MaskedDesign design(X, words, n_threads, monitor);
          const auto loss = make_loss(name, Y, sample_weight, delta);
          gap = duality_gap(LossProblem{design, *loss, beta, group_weights, ridge, unpenalised}, coef, dual);
        }
        return py::make_tuple(gap.primal, gap.gap, gap.scale);
      },
      py::arg("X").noconvert(), py::arg("words").noconvert(), py::arg("Y").noconvert(),
      py::arg("sample_weight").noconvert(), py::arg("loss"), py::arg("delta"), py::arg("beta"), py::kw_only(),
      py::arg("group_weights").noconvert(), py::arg("ridge"), py::arg("unpenalised").noconvert(),
      py::arg("coef").noconvert(), py::arg("dual").noconvert(), py::arg("n_threads"),
      "Objective, duality gap and the factor that makes the dual point feasible.");
  m.def(
      "loss_residual",
      [](const MatrixView& Y, const VectorView& sample_weight, const std::string& name, double delta,
         const MatrixView& fitted) {
        const auto loss = make_loss(name, Y, sample_weight, delta);
        return py::make_tuple(loss->residual(fitted), loss->value(fitted));
      },
      py::arg("Y").noconvert(), py::arg("sample_weight").noconvert(), py::arg("loss"), py::arg("delta"),
      py::arg("fitted").noconvert(), "Minus the gradient of a loss, and its value.");
  m.def(
      "loss_hessian_product",
      [](const MatrixView& Y, const VectorView& sample_weight, const std::string& name, double delta,
         const MatrixView& fitted, const MatrixView& direction) {
        return make_loss(name, Y, sample_weight, delta)->hessian_product(fitted, direction);
      },
      py::arg("Y").noconvert(), py::arg("sample_weight").noconvert(), py::arg("loss"), py::arg("delta"),
      py::arg("fitted").noconvert(), py::arg("direction").noconvert(), "The Hessian of a loss times a direction.");
  m.def(
      "loss_divergence",
      [](const MatrixView& Y, const VectorView& sample_weight, const std::string& name, double delta,
         const MatrixView& fitted,
         const MatrixView& dual) { return make_loss(name, Y, sample_weight, delta)->fenchel_young(fitted, dual); },
      py::arg("Y").noconvert(), py::arg("sample_weight").noconvert(), py::arg("loss"), py::arg("delta"),
      py::arg("fitted").noconvert(), py::arg("dual").noconvert(),
      "The part of a duality gap that is the loss's; infinite where the dual point is outside its domain.");
  m.def(
      "fit_unpenalised",
      [](const MatrixView& Y, const VectorView& sample_weight, const std::string& name, double delta,
         const MatrixView& Z, const MatrixView& offset) {
        const py::gil_scoped_release release;
        Matrix gamma = Matrix::Zero(Z.cols(), Y.cols());
        fit_unpenalised(*make_loss(name, Y, sample_weight, delta), Z, offset, gamma);
        return gamma;
      },
      py::arg("Y").noconvert(), py::arg("sample_weight").noconvert(), py::arg("loss"), py::arg("delta"),
      py::arg("unpenalised").noconvert(), py::arg("offset").noconvert(),
      "The best coefficients of orthonormal columns that are added to given outputs.");
}

}  // namespace cvxrelu
