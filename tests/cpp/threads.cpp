// What starts threads in the core, with four of them, for ThreadSanitizer: it sees what two threads did without order
// between them, whether or not it went wrong. The solvers start none but those of the products and factorisations here.
// Results must be the bits of one thread, and jobs are large enough to be shared out. Exits 1 where results differ;
// races are told by the sanitizer.
#include <cstdio>
#include <stdexcept>

#include "../../bench/cpp/data.hpp"
#include "cvxrelu/algebra/symmetric.hpp"
#include "cvxrelu/arrangement/arrangement.hpp"
#include "cvxrelu/arrangement/cone_measure.hpp"
#include "cvxrelu/arrangement/flat_orbits.hpp"
#include "cvxrelu/arrangement/solid_angle.hpp"
#include "cvxrelu/arrangement/tope_graph.hpp"
#include "cvxrelu/cones/direction_tree.hpp"
#include "cvxrelu/gated/gate_search.hpp"
#include "cvxrelu/kernels/masking_kernel.hpp"
#include "cvxrelu/kernels/ntk.hpp"
#include "cvxrelu/masks/masked_design.hpp"
#include "cvxrelu/networks/evaluate.hpp"

namespace cvxrelu {
namespace {

using bench::Data;
using bench::gaussian;

constexpr int kThreads = 4;
bool all_right = true;

/// Calls job(threads) with one thread and with four: it returns what must be the same.
template <class Job>
void same(const char* what, const Job& job) {
  const bool right = job(1) == job(kThreads);
  std::printf("%-40s %s\n", what, right ? "the same" : "DIFFERS");
  all_right = all_right && right;
}

struct Listed {
  WordMatrix words;
  RowMatrix gates;
  std::int64_t verified;
  bool operator==(const Listed& other) const {
    return words == other.words && gates == other.gates && verified == other.verified;
  }
};

Listed listed(const RowMatrix& X, bool affine, std::int64_t cells, int threads) {
  Arrangement arrangement(X, 0, true, 1, affine);
  Monitor monitor;
  Listed result{WordMatrix(cells, arrangement.pattern_words()), RowMatrix(cells, arrangement.gate_size()), 0};
  const std::int64_t found = arrangement.fill(result.words.data(), result.gates.data(), cells, threads, monitor);
  result.words.conservativeResize(found, Eigen::NoChange);
  result.gates.conservativeResize(found, Eigen::NoChange);
  result.verified = arrangement.counts().verified;
  return result;
}

/// Says stop after some calls, by an exception.
class Interrupt final : public Monitor {
 public:
  void poll() override {
    if (++calls_ == 3) throw std::runtime_error("interrupted");
  }

 private:
  int calls_ = 0;
};

template <class Job>
void interrupted(const char* what, const Job& job) {
  Interrupt monitor;
  bool thrown = false;
  try {
    job(monitor);
  } catch (const std::runtime_error&) {
    thrown = true;
  }
  std::printf("%-40s %s\n", what, thrown ? "interrupted" : "NOT INTERRUPTED");
  all_right = all_right && thrown;
}

void arrangements() {
  same("cells", [](int threads) { return listed(gaussian(30, 5, 0), false, 1 << 16, threads); });
  same("cells of many rows", [](int threads) { return listed(gaussian(300, 3, 0), false, 1 << 17, threads); });
  RowMatrix cone = gaussian(31, 5, 0);
  cone.row(30) << 0, 0, 0, 0, 1;
  same("regions", [&](int threads) { return listed(cone, true, 1 << 16, threads); });
  same("count", [](int threads) {
    Monitor monitor;
    return Arrangement(gaussian(30, 5, 0), 0, false).count(1 << 30, threads, monitor);
  });
  interrupted("count that ends early",
              [](Monitor& monitor) { Arrangement(gaussian(40, 6, 0), 0, false).count(1 << 30, kThreads, monitor); });
  const Listed cells = listed(gaussian(24, 4, 0), false, 1 << 13, 1);
  same("neighbours", [&](int threads) {
    WordMatrix hyperplanes = WordMatrix::Zero(24, 1);
    for (Index j = 0; j < 24; ++j) hyperplanes(j, 0) = Word{1} << j;
    Monitor monitor;
    const TopeGraph graph = tope_graph(cells.words, hyperplanes, threads, monitor);
    return std::vector<std::int32_t>(graph.edges.data(), graph.edges.data() + 2 * graph.size);
  });
  same("orbits of flats", [](int threads) {
    const Arrangement arrangement(gaussian(14, 5, 0), 0, false);
    FlatOrbits orbits(arrangement.rows(), {});
    Monitor monitor;
    while (!orbits.finished()) orbits.advance(256, threads, monitor);
    return orbits.whitney_numbers();
  });
  const RowMatrix space = gaussian(40, 3, 0), four = gaussian(10, 4, 0);
  const Listed cones = listed(space, false, 1 << 12, 1), few = listed(four, false, 1 << 10, 1);
  same("measures in three dimensions", [&](int threads) {
    Matrix result(cones.words.rows(), 2);
    Monitor monitor;
    cone_measure(space, cones.words, result.col(0), result.col(1), threads, monitor);
    return result;
  });
  same("measures in four dimensions", [&](int threads) {
    Matrix result(few.words.rows(), 2);
    Monitor monitor;
    const RowMatrix weights = RowMatrix::Ones(few.words.rows(), four.rows());
    solid_angles(four, few.words, weights, result.col(0), result.col(1), threads, monitor);
    return result;
  });
}

void masks_and_kernels() {
  const Data data(1500, 10, 400);
  Monitor monitor;
  const RowMatrix gates = gaussian(400, 10, 2), Z = gaussian(700, 10, 7);
  same("patterns", [&](int threads) {
    WordMatrix words(400, words_for(1500));
    Vector margin(400);
    pack_patterns(data.X, gates, words, margin, threads, monitor);
    return words;
  });
  same("products with the masked design", [&](int threads) {
    const MaskedDesign design(data.X, data.words, threads, monitor);
    Matrix out(20, 400), fitted(1500, 2);
    design.correlations(gaussian(1500, 2, 3), out);
    std::vector<Index> patterns;
    for (Index i = 0; i < 400; i += 2) patterns.push_back(i);
    const RestrictedDesign some(design, patterns);
    some.fitted<float>(gaussian(20, 200, 3), fitted);
    return Matrix(out.topRows(2).rowwise().sum() * fitted.colwise().sum());
  });
  same("masking kernel", [&](int threads) {
    RowMatrix out(1500, 1500);
    masking_kernel(data.X, data.words, Vector::Ones(400), out, threads, monitor);
    return out;
  });
  same("tangent kernels", [&](int threads) {
    RowMatrix own(1500, 1500), other(700, 1500);
    ntk(data.X, NtkKind::relu, 2, own, threads, monitor);
    ntk(data.X, Z, NtkKind::gated, 1, other, threads, monitor);
    return RowMatrix(other * own.leftCols(5));
  });
  same("values of a network", [&](int threads) {
    RowMatrix out(1500, 2);
    const RowMatrix w2 = gaussian(400, 2, 9);
    evaluate_network(data.X, {gates, gaussian(400, 10, 8), w2, false}, out, threads, monitor);
    return out;
  });
  same("symmetric matrices", [&](int threads) {
    const Matrix A = gaussian(600, 80, 1);
    Matrix S = Matrix::Identity(600, 600), B = gaussian(600, 60, 2), G = Matrix::Zero(80, 80);
    add_outer_product(A, 1, S, threads, monitor);
    add_inner_product(A, 1, G, threads, monitor);
    if (!cholesky(S, threads, monitor)) return Matrix();
    solve_lower(S, B, threads, monitor);
    return B;
  });
  interrupted("kernel that ends early", [&](Monitor& stop) {
    RowMatrix out(1500, 1500);
    ntk(data.X, NtkKind::relu, 3, out, kThreads, stop);
  });
}

void searches() {
  const Data data(600, 8, 1);
  Monitor monitor;
  same("pricing by directions", [&](int threads) {
    const Data small(100, 4, 1);
    DirectionSettings settings;
    settings.accuracy = 1e-4;
    settings.n_threads = threads;
    const DirectionResult result = price_by_directions(small.X, Vector(small.y), settings, monitor);
    return std::vector<double>{result.bound, result.value, static_cast<double>(result.n_nodes)};
  });
  same("search of gates", [&](int threads) {
    RowMatrix gates = gaussian(16, 8, 5);
    const RowMatrix theta = data.y, directions = gaussian(10, 8, 6);
    return Vector(search_gates(data.X, theta, gates, directions, threads, monitor));
  });
}

}  // namespace
}  // namespace cvxrelu

int main() {
  cvxrelu::arrangements();
  cvxrelu::masks_and_kernels();
  cvxrelu::searches();
  return cvxrelu::all_right ? 0 : 1;
}
