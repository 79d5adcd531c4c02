#include "border.hpp"

PYBIND11_MODULE(MODULE_NAME, m, pybind11::mod_gil_not_used()) {
  cvxrelu::bind_info(m);
  cvxrelu::bind_bits(m);
  cvxrelu::bind_arrangement(m);
  cvxrelu::bind_cone_measure(m);
  cvxrelu::bind_losses(m);
  cvxrelu::bind_networks(m);
  cvxrelu::bind_kernels(m);
  cvxrelu::bind_mkl(m);
  cvxrelu::bind_cone_program(m);
  cvxrelu::bind_pricing(m);
  cvxrelu::bind_gate_search(m);
  cvxrelu::bind_group_lasso(m);
  cvxrelu::bind_testing(m);
}
