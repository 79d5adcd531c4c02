#include "border.hpp"
#include "cvxrelu/arrangement/arrangement.hpp"
#include "cvxrelu/arrangement/flat_orbits.hpp"
#include "cvxrelu/arrangement/flats.hpp"
#include "cvxrelu/arrangement/pattern_set.hpp"
#include "cvxrelu/arrangement/tope_graph.hpp"
#include "cvxrelu/masks/bits.hpp"

namespace cvxrelu {

namespace {

/// Masks of flats, one a row, and lists of rows that span them.
template <class Find>
py::tuple found_flats(const Arrangement& arrangement, const Find& find) {
  PyMonitor monitor{py::none()};
  Flats flats;
  {
    const py::gil_scoped_release release;
    flats = find(arrangement.rows(), monitor);
  }
  WordMatrix masks(static_cast<Index>(flats.rows.size()), arrangement.n_words());
  for (Index i = 0; i < masks.rows(); ++i) {
    masks.row(i) = Eigen::Map<const Eigen::Matrix<Word, 1, Eigen::Dynamic>>(
        flats.rows[static_cast<std::size_t>(i)].data(), masks.cols());
  }
  return py::make_tuple(masks, flats.bases);
}

/// An array over memory that it owns from now on.
py::array_t<std::int32_t> as_array(AlignedArray<std::int32_t>&& values, const std::vector<py::ssize_t>& shape) {
  auto* owner = new AlignedArray<std::int32_t>(std::move(values));
  const py::capsule keeper(owner, [](void* p) { delete static_cast<AlignedArray<std::int32_t>*>(p); });
  return py::array_t<std::int32_t>(shape, owner->data(), keeper);
}

void bind_tope_graph(py::module_& m) {
  m.def(
      "tope_graph",
      [](const WordMatrixView& words, const WordMatrixView& hyperplanes, int n_threads) {
        PyMonitor monitor{py::none()};
        TopeGraph graph;
        {
          const py::gil_scoped_release release;
          graph = tope_graph(words, hyperplanes, n_threads, monitor);
        }
        return py::make_tuple(as_array(std::move(graph.edges), {graph.size, 2}),
                              as_array(std::move(graph.crossed), {graph.size}));
      },
      py::arg("words").noconvert(), py::arg("hyperplanes").noconvert(), py::arg("n_threads"),
      "Pairs of patterns that differ in one of the hyperplanes, given as masks of rows, and the first row of that.");
  m.def(
      "find_among",
      [](const WordMatrixView& known, const WordMatrixView& wanted, int n_threads) {
        py::array_t<bool> found(wanted.rows());
        bool* out = found.mutable_data();
        {
          const py::gil_scoped_release release;
          find_among(known, wanted, out, n_threads);
        }
        return found;
      },
      py::arg("known").noconvert(), py::arg("wanted").noconvert(), py::arg("n_threads"),
      "Which of some patterns are among others.");
}

void bind_flat_orbits(py::module_& m) {
  py::class_<StabilizerLevel>(m, "StabilizerLevel", "What a group of permutations of the rows does to one of them.")
      .def(py::init<std::vector<std::vector<int>>, std::vector<Word>>(), py::arg("images"), py::arg("fixed"));
  py::class_<FlatOrbits>(m, "FlatOrbits", "Whitney numbers of an arrangement by the orbits of its flats.")
      .def(py::init([](const Arrangement& arrangement, std::vector<StabilizerLevel> chain) {
             return FlatOrbits(arrangement.rows(), std::move(chain));
           }),
           py::arg("arrangement"), py::arg("chain"), py::keep_alive<1, 2>())
      .def_property_readonly("finished", &FlatOrbits::finished)
      .def_property_readonly("rank", &FlatOrbits::rank)
      .def_property_readonly("orbits", &FlatOrbits::orbits)
      .def_property_readonly("done", &FlatOrbits::done)
      .def_property_readonly("whitney_numbers",
                             [](const FlatOrbits& self) {
                               py::list numbers;
                               for (const FlatOrbits::Weight number : self.whitney_numbers()) {
                                 const py::int_ high(static_cast<std::uint64_t>(number >> 64));
                                 numbers.append((high << py::int_(64)) + py::int_(static_cast<std::uint64_t>(number)));
                               }
                               return numbers;
                             })
      .def(
          "advance",
          [](FlatOrbits& self, std::size_t most, int n_threads) {
            PyMonitor monitor{py::none()};
            const py::gil_scoped_release release;
            self.advance(most, n_threads, monitor);
          },
          py::arg("most"), py::arg("n_threads"), "Looks for the covers of the next flats of one rank.");
}

}  // namespace

void bind_arrangement(py::module_& m) {
  bind_tope_graph(m);
  py::class_<Arrangement>(m, "Arrangement", "Cells of a central hyperplane arrangement, in a fixed order.")
      .def(py::init<const RowMatrixView&, double, bool, int, bool>(), py::arg("X").noconvert(), py::arg("tol"),
           py::arg("check_gates"), py::arg("parts") = 1, py::arg("affine") = false,
           py::call_guard<py::gil_scoped_release>())
      .def("restrict", &Arrangement::restrict, py::arg("part"), py::arg("parts"),
           "Leaves one of several parts of the search, which have all cells between them.")
      .def_property_readonly("rank", &Arrangement::rank)
      .def_property_readonly("n_hyperplanes", &Arrangement::n_hyperplanes)
      .def_property_readonly("n_words", &Arrangement::pattern_words, "Words of a pattern.")
      .def_property_readonly("gate_size", &Arrangement::gate_size)
      .def_property_readonly("cells_of_pair", &Arrangement::cells_of_pair, "Cells found at once: 2, or one region.")
      .def_property_readonly("arithmetic", &Arrangement::arithmetic)
      .def_property_readonly("finished", &Arrangement::finished)
      .def_property_readonly("room", &Arrangement::room)
      .def_property_readonly("left", &Arrangement::left, "Cells that are left to search for, at most.")
      .def_property_readonly("counts",
                             [](const Arrangement& self) {
                               const SearchCounts& counts = self.counts();
                               py::dict result;
                               result["pairs"] = counts.pairs;
                               result["verified"] = counts.verified;
                               result["repaired"] = counts.repaired;
                               result["exact_decisions"] = counts.exact_decisions;
                               result["exact_gate_signs"] = counts.exact_gate_signs;
                               result["sets"] = counts.sets;
                               return result;
                             })
      .def(py::init<const Arrangement&, std::vector<int>>(), py::arg("whole"), py::arg("contracted"),
           py::call_guard<py::gil_scoped_release>())
      .def(
          "dependent_flats",
          [](const Arrangement& self, const WordMatrixView& known) {
            return found_flats(self, [&](const ArrangementRows& rows, Monitor& monitor) {
              return dependent_flats(rows, known, monitor);
            });
          },
          py::arg("known").noconvert(),
          "Masks and bases of the flats with more rows than their rank, but for those within a known pattern.")
      .def(
          "flats",
          [](const Arrangement& self, int rank) {
            return found_flats(self, [rank](const ArrangementRows& rows, Monitor& monitor) {
              return flats_of_rank(rows, rank, monitor);
            });
          },
          py::arg("rank"), "Masks and bases of all flats of a rank, from 1 to that of X, less one.")
      .def(
          "fill",
          [](Arrangement& self, Eigen::Ref<WordMatrix> words, Eigen::Ref<RowMatrix> gates, int n_threads) {
            const bool want_gates = gates.size() > 0;
            require(words.innerStride() == 1 && words.outerStride() == words.cols(), "words must be contiguous");
            require(words.cols() == self.pattern_words(), "words must be (n_cells, ceil(n_samples / 64))");
            require(!want_gates || (gates.rows() == words.rows() && gates.cols() == self.gate_size() &&
                                    gates.outerStride() == gates.cols()),
                    "gates must be (n_cells, n_features), or empty");
            PyMonitor monitor{py::none()};
            const py::gil_scoped_release release;
            return self.fill(words.data(), want_gates ? gates.data() : nullptr, words.rows(), n_threads, monitor);
          },
          py::arg("words").noconvert(), py::arg("gates").noconvert(), py::arg("n_threads"),
          "Writes the next cells that fit; returns how many.")
      .def(
          "count_next",
          [](Arrangement& self, std::int64_t capacity, int n_threads) {
            PyMonitor monitor{py::none()};
            const py::gil_scoped_release release;
            return self.count_next(capacity, n_threads, monitor);
          },
          py::arg("capacity"), py::arg("n_threads"), "Counts the next cells, at most that many; needs `room` for them.")
      .def(
          "count",
          [](Arrangement& self, std::int64_t limit, int n_threads) {
            PyMonitor monitor{py::none()};
            const py::gil_scoped_release release;
            return self.count(limit, n_threads, monitor);
          },
          py::arg("limit"), py::arg("n_threads"), "Number of cells left, or some number above the limit.");
  bind_flat_orbits(m);
}

}  // namespace cvxrelu
