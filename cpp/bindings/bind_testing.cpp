// The submodule `testing`: parts of the core that the package reaches through other functions only, for the tests to
// compare with their NumPy twins one at a time.
#include "border.hpp"
#include "cvxrelu/algebra/thin_svd.hpp"
#include "cvxrelu/arrangement/determinant_filter.hpp"
#include "cvxrelu/cones/cone.hpp"
#include "cvxrelu/exact/predicates.hpp"
#include "cvxrelu/gated/duality.hpp"
#include "cvxrelu/gated/screening.hpp"
#include "cvxrelu/masks/bits.hpp"

namespace cvxrelu {

void bind_testing(py::module_& m) {
  py::module_ testing = m.def_submodule("testing", "What only tests call.");
  testing.def(
      "exact_dot_sign",
      [](const VectorView& a, const VectorView& b) {
        require(a.size() == b.size(), "a and b must have the same length");
        return exact_dot_sign(a.data(), b.data(), a.size());
      },
      py::arg("a").noconvert(), py::arg("b").noconvert(), "Sign of the exact dot product.");
  testing.def(
      "filtered_determinant_sign",
      [](const RowMatrixView& A) {
        require(A.rows() == A.cols(), "A must be square");
        DeterminantFilter filter(static_cast<int>(A.rows()), 0);
        for (Index i = 0; i < A.rows(); ++i) std::copy_n(A.row(i).data(), A.cols(), filter.row(static_cast<int>(i)));
        return filter.sign();
      },
      py::arg("A").noconvert(), "Sign of a determinant where floating point can tell it, else 0.");
  testing.def(
      "thin_svd",
      [](const MatrixView& A) {
        ThinSvd svd = thin_svd(A);
        return py::make_tuple(std::move(svd.left), std::move(svd.values), std::move(svd.right), singular_values(A));
      },
      py::arg("A").noconvert(), "Left vectors, singular values and right vectors as columns; the values alone.");
  testing.def(
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
  testing.def(
      "group_lasso_survivors",
      [](const RowMatrixView& X, const WordMatrixView& words, const MatrixView& Y, double beta,
         const VectorView& group_weights, const MatrixView& coef, int n_threads) {
        PyMonitor monitor{py::none()};
        const py::gil_scoped_release release;
        const MaskedDesign design(X, words, n_threads, monitor);
        const Matrix none(X.rows(), 0);
        const GroupLassoProblem problem{design, Y, beta, group_weights, 0.0, none};
        Iterate iterate(problem);
        iterate.coef = coef;
        iterate.refresh(problem);
        BlockUpdate blocks(design);
        Screening screening(problem, blocks);
        Matrix correlations;
        screening.correlations(iterate.residual, correlations);
        screening.discard(duality_gap(problem, iterate, correlations, nullptr), correlations,
                          std::vector<bool>(static_cast<std::size_t>(words.rows()), false));
        std::vector<Index> left;
        for (Index k = 0; k < screening.size(); ++k) left.push_back(screening.group(k));
        return left;
      },
      py::arg("X").noconvert(), py::arg("words").noconvert(), py::arg("Y").noconvert(), py::arg("beta"),
      py::arg("group_weights").noconvert(), py::arg("coef").noconvert(), py::arg("n_threads"),
      "Patterns that gap-safe screening keeps at these coefficients.");
}

}  // namespace cvxrelu
