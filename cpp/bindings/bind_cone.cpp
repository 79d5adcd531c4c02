#include "border.hpp"
#include "cvxrelu/masks/bits.hpp"
#include "cvxrelu/cones/cone.hpp"

namespace cvxrelu {

void bind_cone(py::module_& m) {
  m.def(
      "project_cone",
      [](const RowMatrixView& X, const WordMatrixView& words, const RowMatrixView& points, double threshold) {
        require(words.cols() == words_for(X.rows()), "words must have ceil(n_samples / 64) columns");
        require(points.rows() == words.rows() && points.cols() == X.cols(), "points must have shape (p, d)");
        RowMatrix projections(points.rows(), points.cols());
        RowMatrix multipliers = RowMatrix::Zero(points.rows(), X.rows());
        Vector bounds(points.rows());
        {
          const py::gil_scoped_release release;
          const UnitRows rows(X);
          ConeProjector projector(rows);
          std::vector<Index> support;
          for (Index i = 0; i < points.rows(); ++i) {
            ConePool pool;
            support.clear();
            const Vector c = points.row(i).transpose();
            projector.project(words.row(i).data(), pool, c.data(), threshold, ConeProjector::Check::all, support);
            projections.row(i) = projector.point().transpose();
            bounds[i] = projector.certified_norm(c.data());
            for (std::size_t a = 0; a < projector.support().size(); ++a)
              multipliers(i, projector.support()[a]) = projector.multipliers()[static_cast<Index>(a)];
          }
        }
        return py::make_tuple(std::move(projections), std::move(multipliers), std::move(bounds));
      },
      py::arg("X").noconvert(), py::arg("words").noconvert(), py::arg("points").noconvert(), py::arg("threshold"),
      "Projection of each point onto the cone of its pattern, multipliers of the unit rows, certified norms.");
}

}  // namespace cvxrelu
