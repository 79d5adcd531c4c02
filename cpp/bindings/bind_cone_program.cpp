#include "cvxrelu/cone_program.hpp"

#include "border.hpp"

namespace cvxrelu {

namespace {

std::vector<SignedCone> signed_cones(const std::vector<Index>& patterns, const std::vector<int>& signs) {
  require(patterns.size() == signs.size(), "patterns and signs must have the same length");
  std::vector<SignedCone> cones;
  for (std::size_t k = 0; k < patterns.size(); ++k) cones.push_back({patterns[k], signs[k]});
  return cones;
}

py::dict to_dict(ConeProgramResult& result) {
  std::vector<std::int64_t> patterns, signs;
  for (const SignedCone cone : result.cones) {
    patterns.push_back(cone.pattern);
    signs.push_back(cone.sign);
  }
  py::dict out;
  out["beta"] = result.beta;
  out["active"] = py::array_t<std::int64_t>(static_cast<py::ssize_t>(patterns.size()), patterns.data());
  out["signs"] = py::array_t<std::int64_t>(static_cast<py::ssize_t>(signs.size()), signs.data());
  out["blocks"] = std::move(result.blocks);
  out["residual"] = std::move(result.residual);
  out["dual"] = std::move(result.dual);
  out["objective"] = result.objective;
  out["gap"] = result.gap;
  out["relative_gap"] = result.relative_gap;
  out["dual_norm"] = result.dual_norm;
  out["n_iter"] = result.n_iter;
  out["n_newton"] = result.work.n_newton;
  out["n_proximal"] = result.work.n_proximal;
  out["converged"] = result.converged;
  out["stopped"] = result.stopped;
  return out;
}

}  // namespace

void bind_cone_program(py::module_& m) {
  m.def(
      "solve_cone_program",
      [](const RowMatrixView& X, const WordMatrixView& words, const VectorView& y, const std::vector<double>& betas,
         const std::vector<Index>& start_patterns, const std::vector<int>& start_signs, const MatrixView& start_blocks,
         double tol, Index max_iter, int n_threads, py::object callback) {
        PyMonitor monitor(std::move(callback));
        std::vector<ConeProgramResult> path;
        {
          const py::gil_scoped_release release;
          ConeList list(X, n_threads, monitor);
          list.append(words);
          ConeProgram program(list, y);
          program.start(signed_cones(start_patterns, start_signs), start_blocks);
          for (const double beta : betas) {
            path.push_back(program.solve(beta, {tol, max_iter}, monitor));
            if (path.back().stopped) break;
          }
        }
        py::list points;
        for (auto& result : path) points.append(to_dict(result));
        return points;
      },
      py::arg("X").noconvert(), py::arg("words").noconvert(), py::arg("y").noconvert(), py::arg("betas"),
      py::arg("start_patterns"), py::arg("start_signs"), py::arg("start_blocks").noconvert(), py::arg("tol"),
      py::arg("max_iter"), py::arg("n_threads"), py::arg("callback"),
      "The ReLU program over the given patterns for each penalty, every one from the solution before.");
  m.def(
      "cone_program_beta_max",
      [](const RowMatrixView& X, const WordMatrixView& words, const VectorView& y, int n_threads) {
        PyMonitor monitor{py::none()};
        const py::gil_scoped_release release;
        ConeList list(X, n_threads, monitor);
        list.append(words);
        return cone_program_beta_max(list, y);
      },
      py::arg("X").noconvert(), py::arg("words").noconvert(), py::arg("y").noconvert(), py::arg("n_threads"),
      "The smallest penalty whose solution over the patterns is zero.");
}

}  // namespace cvxrelu
