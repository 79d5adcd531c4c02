#include "border.hpp"
#include "cvxrelu/arrangement/arrangement.hpp"
#include "cvxrelu/arrangement/flats.hpp"
#include "cvxrelu/masks/bits.hpp"

namespace cvxrelu {

void bind_arrangement(py::module_& m) {
  py::class_<Arrangement>(m, "Arrangement", "Cells of a central hyperplane arrangement, in a fixed order.")
      .def(py::init<const RowMatrixView&, double, bool>(), py::arg("X").noconvert(), py::arg("tol"),
           py::arg("check_gates"), py::call_guard<py::gil_scoped_release>())
      .def("restrict", &Arrangement::restrict, py::arg("part"), py::arg("parts"),
           "Leaves one of several parts of the search, which have all cells between them.")
      .def_property_readonly("rank", &Arrangement::rank)
      .def_property_readonly("n_hyperplanes", &Arrangement::n_hyperplanes)
      .def_property_readonly("arithmetic", &Arrangement::arithmetic)
      .def_property_readonly("finished", &Arrangement::finished)
      .def_property_readonly("room", &Arrangement::room)
      .def_property_readonly("counts",
                             [](const Arrangement& self) {
                               const SearchCounts& counts = self.counts();
                               py::dict result;
                               result["pairs"] = counts.pairs;
                               result["verified"] = counts.verified;
                               result["repaired"] = counts.repaired;
                               result["exact_decisions"] = counts.exact_decisions;
                               result["exact_gate_signs"] = counts.exact_gate_signs;
                               return result;
                             })
      .def(py::init<const Arrangement&, std::vector<int>>(), py::arg("whole"), py::arg("contracted"),
           py::call_guard<py::gil_scoped_release>())
      .def(
          "dependent_flats",
          [](const Arrangement& self, const WordMatrixView& known) {
            PyMonitor monitor{py::none()};
            Flats flats;
            {
              const py::gil_scoped_release release;
              flats = dependent_flats(self.rows(), known, monitor);
            }
            WordMatrix masks(static_cast<Index>(flats.rows.size()), self.n_words());
            for (Index i = 0; i < masks.rows(); ++i) {
              masks.row(i) = Eigen::Map<const Eigen::Matrix<Word, 1, Eigen::Dynamic>>(
                  flats.rows[static_cast<std::size_t>(i)].data(), masks.cols());
            }
            return py::make_tuple(masks, flats.bases);
          },
          py::arg("known").noconvert(),
          "Masks and bases of the flats with more rows than their rank, but for those within a known pattern.")
      .def(
          "fill",
          [](Arrangement& self, Eigen::Ref<WordMatrix> words, Eigen::Ref<RowMatrix> gates, int n_threads) {
            const bool want_gates = gates.size() > 0;
            require(words.innerStride() == 1 && words.outerStride() == words.cols(), "words must be contiguous");
            require(words.cols() == self.n_words(), "words must be (n_cells, ceil(n_samples / 64))");
            require(!want_gates || (gates.rows() == words.rows() && gates.cols() == self.n_features() &&
                                    gates.outerStride() == gates.cols()),
                    "gates must be (n_cells, n_features), or empty");
            PyMonitor monitor{py::none()};
            const py::gil_scoped_release release;
            return self.fill(words.data(), want_gates ? gates.data() : nullptr, words.rows(), n_threads, monitor);
          },
          py::arg("words").noconvert(), py::arg("gates").noconvert(), py::arg("n_threads"),
          "Writes the next cells that fit; returns how many.")
      .def(
          "count",
          [](Arrangement& self, std::int64_t limit, int n_threads) {
            PyMonitor monitor{py::none()};
            const py::gil_scoped_release release;
            return self.count(limit, n_threads, monitor);
          },
          py::arg("limit"), py::arg("n_threads"), "Number of cells left, or some number above the limit.");
}

}  // namespace cvxrelu
