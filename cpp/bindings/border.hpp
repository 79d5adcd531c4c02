// The one place that includes pybind11, so that all files see it alike; and the monitor that talks to Python.
#pragma once

#include <pybind11/eigen.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <chrono>
#include <cstdint>
#include <vector>

#include "cvxrelu/base/errors.hpp"
#include "cvxrelu/base/monitor.hpp"
#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

namespace py = pybind11;

/// Ctrl-C and a Python callback, for computations that run without the GIL.
class PyMonitor final : public Monitor {
 public:
  explicit PyMonitor(py::object callback) : callback_(std::move(callback)) {}

  bool report(const Progress& progress) override {
    if (callback_.is_none()) {
      poll();
      return true;
    }
    const py::gil_scoped_acquire gil;
    check_signals();
    py::dict state;
    state["iteration"] = progress.iteration;
    state["objective"] = progress.objective;
    state["gap"] = progress.gap;
    state["relative_gap"] = progress.relative_gap;
    state["active"] = progress.active;
    if (progress.beta > 0) state["beta"] = progress.beta;
    if (progress.coef != nullptr) tell_blocks(*progress.coef, state);
    const py::object stop = callback_(state);
    return stop.is_none() || !py::bool_(stop);
  }

  void poll() override {
    const auto now = Clock::now();
    if (now - last_ < std::chrono::milliseconds(50)) return;
    last_ = now;
    const py::gil_scoped_acquire gil;
    check_signals();
  }

 private:
  // The columns that are not zero, as columns, and which they are.
  static void tell_blocks(const Matrix& coef, py::dict& state) {
    std::vector<std::int64_t> support;
    for (Index i = 0; i < coef.cols(); ++i)
      if (!coef.col(i).isZero(0)) support.push_back(i);
    state["blocks"] = Matrix(coef(Eigen::all, support));
    state["support"] = py::array_t<std::int64_t>(static_cast<py::ssize_t>(support.size()), support.data());
  }
  using Clock = std::chrono::steady_clock;
  static void check_signals() {
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  }
  py::object callback_;
  Clock::time_point last_ = Clock::now();
};

void bind_arrangement(py::module_& m);
void bind_cone_measure(py::module_& m);
void bind_bits(py::module_& m);
void bind_gate_search(py::module_& m);
void bind_cone_program(py::module_& m);
void bind_pricing(py::module_& m);
void bind_group_lasso(py::module_& m);
void bind_info(py::module_& m);
void bind_losses(py::module_& m);
void bind_networks(py::module_& m);
void bind_kernels(py::module_& m);
void bind_mkl(py::module_& m);
void bind_testing(py::module_& m);

}  // namespace cvxrelu
