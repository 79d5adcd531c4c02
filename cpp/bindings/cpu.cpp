// Compiled for the baseline, so that it can be asked before any other module is loaded.
#include <pybind11/pybind11.h>

#include "cvxrelu/base/cpu_level.hpp"

PYBIND11_MODULE(_cpu, m, pybind11::mod_gil_not_used()) {
  m.def("level", &cvxrelu::cpu_level, "x86-64 level of this processor: 4, 3 or 1.");
}
