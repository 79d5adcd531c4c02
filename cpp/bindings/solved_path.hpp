// What the bindings of the group lasso and of other losses share: a path of solutions as a list of dicts.
#pragma once

#include "border.hpp"
#include "cvxrelu/gated/group_lasso.hpp"

namespace cvxrelu {

InnerSolver inner_solver(const std::string& name);
py::dict to_dict(GroupLassoResult& result);

/// Calls solve(path) without the GIL. Returns the points and whether Ctrl-C cut the path short; without `keep` that is
/// an exception.
template <class Solve>
py::typing::Tuple<py::typing::List<py::dict>, bool> solved_path(bool keep, Solve&& solve) {
  std::vector<GroupLassoResult> path;
  bool interrupted = false;
  try {
    const py::gil_scoped_release release;
    solve(path);
  } catch (py::error_already_set& error) {
    if (!keep || !error.matches(PyExc_KeyboardInterrupt)) throw;
    interrupted = true;
  }
  py::list points;
  for (auto& result : path) points.append(to_dict(result));
  return py::make_tuple(points, interrupted);
}

}  // namespace cvxrelu
