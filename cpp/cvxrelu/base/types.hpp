// The only place with Eigen aliases, and what every source shares. Matrices are column-major, as NumPy's order="F".
#pragma once

#include <Eigen/Core>
#include <cstdint>

namespace cvxrelu {

using Index = Eigen::Index;
using Word = std::uint64_t;  // 64 samples of one activation pattern, first sample in the lowest bit

constexpr double kPi = 3.14159265358979323846;

using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;
template <class S>
using MatrixOf = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic>;
using RowMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using WordMatrix = Eigen::Matrix<Word, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;  // one row, one pattern

using VectorView = Eigen::Ref<const Vector>;
using MatrixView = Eigen::Ref<const Matrix>;
using RowMatrixView = Eigen::Ref<const RowMatrix>;
using WordMatrixView = Eigen::Ref<const WordMatrix>;
using RowMatrixOut = Eigen::Ref<RowMatrix>;

}  // namespace cvxrelu
