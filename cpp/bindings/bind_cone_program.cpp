#include "cvxrelu/cones/cone_program.hpp"

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

// The program with its state, for column generation. Python keeps one for the length of a call, never in a result.
class NativeConeProgram {
 public:
  NativeConeProgram(const RowMatrixView& X, const VectorView& y, int n_threads)
      : X_(X), y_(y), poll_(py::none()), list_(X_, n_threads, poll_), program_(list_, y_) {}

  void append(const WordMatrixView& words) {
    const py::gil_scoped_release release;
    list_.append(words);
  }
  void start(const std::vector<Index>& patterns, const std::vector<int>& signs, const MatrixView& blocks) {
    const py::gil_scoped_release release;
    program_.start(signed_cones(patterns, signs), blocks);
  }
  py::dict solve(double beta, double tol, Index max_iter, py::object callback) {
    PyMonitor monitor(std::move(callback));
    ConeProgramResult result;
    {
      const py::gil_scoped_release release;
      result = program_.solve(beta, {tol, max_iter}, monitor);
    }
    return to_dict(result);
  }
  double beta_max() {
    const py::gil_scoped_release release;
    return cone_program_beta_max(list_, y_);
  }

 private:
  RowMatrix X_;
  Vector y_;
  PyMonitor poll_;
  ConeList list_;
  ConeProgram program_;
};

}  // namespace

void bind_cone_program(py::module_& m) {
  py::class_<NativeConeProgram>(m, "ConeProgram", "The ReLU program over patterns that may be appended.")
      .def(py::init<const RowMatrixView&, const VectorView&, int>(), py::arg("X").noconvert(), py::arg("y").noconvert(),
           py::arg("n_threads"))
      .def("append", &NativeConeProgram::append, py::arg("words").noconvert(), "Appends packed patterns.")
      .def("start", &NativeConeProgram::start, py::arg("patterns"), py::arg("signs"), py::arg("blocks").noconvert(),
           "Blocks, columns of `blocks`, to start from.")
      .def("solve", &NativeConeProgram::solve, py::arg("beta"), py::arg("tol"), py::arg("max_iter"),
           py::arg("callback"), "Solves from the last solution.")
      .def("beta_max", &NativeConeProgram::beta_max, "The smallest penalty whose solution is zero.");
}

}  // namespace cvxrelu
