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
  out["unpenalised"] = std::move(result.gamma);
  out["output"] = std::move(result.output);
  out["residual"] = std::move(result.residual);
  out["dual"] = std::move(result.dual);
  out["objective"] = result.objective;
  out["gap"] = result.gap;
  out["relative_gap"] = result.relative_gap;
  out["dual_norm"] = result.dual_norm;
  out["own_excess"] = py::array_t<double>(static_cast<py::ssize_t>(result.own_excess.size()), result.own_excess.data());
  out["other_excess"] = result.other_excess;
  out["n_iter"] = result.n_iter;
  out["n_newton"] = result.work.n_newton;
  out["n_proximal"] = result.work.n_proximal;
  out["converged"] = result.converged;
  out["stopped"] = result.stopped;
  return out;
}

// The squared loss has its weights folded into the rows.
std::unique_ptr<ConeLoss> cone_loss(const VectorView& y, const VectorView& weights, const std::string& name,
                                    double delta) {
  if (name != "squared") return make_cone_loss(make_loss(name, y, weights, delta));
  require((weights.array() == 1).all(), "the squared loss takes its weights in the rows");
  return make_squared_cone_loss(y);
}

// The program with its state, for column generation. Python keeps one for the length of a call, never in a result.
class NativeConeProgram {
 public:
  NativeConeProgram(const RowMatrixView& X, const VectorView& y, const VectorView& weights, const std::string& loss,
                    double delta, const MatrixView& unpenalised, double ridge, int n_threads)
      : X_(X),
        poll_(py::none()),
        list_(X_, n_threads, poll_),
        program_(list_, cone_loss(y, weights, loss, delta), unpenalised, ridge) {}

  void append(const WordMatrixView& words, const VectorView& weights) {
    const py::gil_scoped_release release;
    list_.append(words, weights);
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
    return program_.beta_max();
  }
  double at_zero() const { return program_.at_zero(); }

 private:
  RowMatrix X_;
  PyMonitor poll_;
  ConeList list_;
  ConeProgram program_;
};

}  // namespace

void bind_cone_program(py::module_& m) {
  py::class_<NativeConeProgram>(m, "ConeProgram", "The ReLU program over patterns that may be appended.")
      .def(py::init<const RowMatrixView&, const VectorView&, const VectorView&, const std::string&, double,
                    const MatrixView&, double, int>(),
           py::arg("X").noconvert(), py::arg("y").noconvert(), py::arg("sample_weight").noconvert(), py::arg("loss"),
           py::arg("delta"), py::arg("unpenalised").noconvert(), py::arg("ridge"), py::arg("n_threads"))
      .def("append", &NativeConeProgram::append, py::arg("words").noconvert(), py::arg("weights").noconvert(),
           "Appends packed patterns with their weights.")
      .def("start", &NativeConeProgram::start, py::arg("patterns"), py::arg("signs"), py::arg("blocks").noconvert(),
           "Blocks, columns of `blocks`, to start from.")
      .def("solve", &NativeConeProgram::solve, py::arg("beta"), py::arg("tol"), py::arg("max_iter"),
           py::arg("callback"), "Solves from the last solution.")
      .def("beta_max", &NativeConeProgram::beta_max, "The smallest penalty whose solution is zero.")
      .def("at_zero", &NativeConeProgram::at_zero, "The objective of the zero network.");
}

}  // namespace cvxrelu
