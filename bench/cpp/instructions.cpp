// Small fixed jobs, whose instructions bench/instructions.py counts: a guard of speed that a busy machine cannot break.
// `instructions` names them, `instructions JOB` does one.
#include <functional>
#include <iostream>
#include <map>
#include <string>

#include "cvxrelu/arrangement/arrangement.hpp"
#include "cvxrelu/cones/cone_program.hpp"
#include "cvxrelu/cones/direction_tree.hpp"
#include "cvxrelu/gated/group_lasso.hpp"
#include "cvxrelu/networks/evaluate.hpp"
#include "data.hpp"

namespace cvxrelu::bench {
namespace {

bool cells() {
  Arrangement arrangement(gaussian(24, 5, 0), 0, true);
  Monitor monitor;
  const std::int64_t count = 21806;
  WordMatrix words(count, arrangement.n_words());
  RowMatrix gates(count, 5);
  return arrangement.fill(words.data(), gates.data(), count, 1, monitor) == count && arrangement.finished();
}

bool group_lasso() {
  Data data(500, 10, 200);
  const MaskedDesign design(data.X, data.words, 1, data.monitor);
  const Vector omega = Vector::Ones(200);
  const Matrix none(500, 0);
  GroupLassoProblem problem{design, data.y, 0.0, omega, 0.0, none};
  problem.beta = 0.01 * group_lasso_beta_max(problem);
  std::vector<GroupLassoResult> path;
  solve_group_lasso(problem, {problem.beta}, {}, Matrix(), data.monitor, path);
  return path.front().converged;
}

bool cones() {
  Data data(300, 10, 100);
  ConeList list(data.X, 1, data.monitor);
  list.append(data.words);
  ConeProgram program(list, make_squared_cone_loss(Vector(data.y)), Matrix(300, 0), 0);
  return program.solve(0.1 * program.beta_max(), {}, data.monitor).relative_gap <= 1e-6;
}

bool directions() {
  Data data(100, 5, 1);
  DirectionSettings settings;
  settings.accuracy = 1e-6;
  return price_by_directions(data.X, Vector(data.y), settings, data.monitor).complete;
}

bool values() {
  const RowMatrix Z = gaussian(5000, 20, 0), W1 = gaussian(125, 20, 1), gates = gaussian(125, 20, 2);
  const RowMatrix w2 = gaussian(125, 1, 3);
  RowMatrix out(5000, 1);
  Monitor monitor;
  evaluate_network(Z, {W1, gates, w2, false}, out, 1, monitor);
  return out.allFinite();
}

const std::map<std::string, std::function<bool()>> jobs = {
    {"cells", cells}, {"cones", cones}, {"directions", directions}, {"group_lasso", group_lasso}, {"values", values}};

}  // namespace
}  // namespace cvxrelu::bench

int main(int count, char** arguments) {
  using cvxrelu::bench::jobs;
  if (count == 1) {
    for (const auto& [name, job] : jobs) std::cout << name << "\n";
    return 0;
  }
  const auto job = jobs.find(arguments[1]);
  return job != jobs.end() && job->second() ? 0 : 1;
}
