#include "cvxrelu/gated/huber_newton.hpp"

#include <algorithm>
#include <cmath>

#include "cvxrelu/algebra/symmetric.hpp"

namespace cvxrelu {

namespace {

constexpr Index kMostFactorised = 3000;  // samples times outputs
constexpr int kProximalSteps = 40, kNewtonSteps = 30, kIdleSteps = 6, kHalvings = 20;
constexpr int kMostIterations = 300, kMostSteps = 400;
constexpr double kCgAccuracy = 1e-2, kDecrease = 1e-4;
constexpr double kFirstShift = 1e-12, kLastShift = 1e-4;
constexpr double kGrowth = 4, kMostGrowth = 1e6;

}  // namespace

struct HuberNewton::Lengths {
  double sigma, tau, nu;
};

// psi's penalties and their proximal points.
struct HuberNewton::Point {
  Matrix Z, errors, gamma;    // U + sigma A'T, (d c, m); V + tau T, (n, c); Gamma + nu Z'T, (q, c)
  Matrix W, O;                // the proximal points of the first two
  Vector norms, excess;       // ||Z_i||, and what of it is beyond sigma t_i
  std::vector<Index> active;  // positions of the blocks that are not zero

  // What psi's penalties are above those of another point, term by term: their sums agree in many digits.
  double above(const Point& other, const Lengths& lengths, double ridge) const {
    const auto squares = [](const auto& a, const auto& b) { return (a - b).cwiseProduct(a + b).sum(); };
    const double blocks = squares(excess, other.excess) / (2 * lengths.sigma * (1 + lengths.sigma * ridge)),
                 errors_ = squares(O, other.O) / (2 * lengths.tau);
    return blocks + errors_ + (gamma.size() > 0 ? squares(gamma, other.gamma) / (2 * lengths.nu) : 0);
  }
};

HuberNewton::HuberNewton(const MaskedDesign& design, const Loss& loss)
    : design_(design),
      loss_(loss),
      space_(design),
      root_(loss.weights().cwiseSqrt()),
      inverse_(root_.unaryExpr([](double r) { return r > 0 ? 1 / r : 0.0; })) {}

HuberNewton::Point HuberNewton::at(const GroupLassoProblem& penalty, const std::vector<Index>& groups,
                                   const Lengths& lengths, Matrix Z, Matrix errors, Matrix gamma) const {
  Point point{std::move(Z), std::move(errors), std::move(gamma), {}, {}, {}, {}, {}};
  const double sigma = lengths.sigma, shrink = 1 / (1 + sigma * penalty.ridge);
  point.norms = point.Z.colwise().norm();
  point.excess = Vector::Zero(point.Z.cols());
  point.W = Matrix::Zero(point.Z.rows(), point.Z.cols());
  for (Index a = 0; a < point.Z.cols(); ++a) {
    const double excess = point.norms[a] - sigma * penalty.threshold(groups[static_cast<std::size_t>(a)]);
    if (excess <= 0) continue;
    point.active.push_back(a);
    point.W.col(a) = shrink * excess / point.norms[a] * point.Z.col(a);
    point.excess[a] = excess;
  }
  const Vector most = lengths.tau * loss_.cap() * loss_.weights();
  point.O = point.errors.cwiseSign().cwiseProduct((point.errors.cwiseAbs().colwise() - most).cwiseMax(0.0));
  return point;
}

// -H^-1 G for the gradient G, H = diag(1/s) + sum_a A_a J_a A_a' + tau diag(errors that are not zero) + nu ZZ', through
// R H R with the roots R of the weights.
Matrix HuberNewton::direction(const GroupLassoProblem& penalty, const std::vector<Index>& groups,
                              const Lengths& lengths, const Point& point, const Matrix& gradient) {
  const Index n = gradient.rows(), c = gradient.cols(), m = static_cast<Index>(point.active.size());
  const double scale = lengths.sigma / (1 + lengths.sigma * penalty.ridge);
  std::vector<Index> patterns;
  Matrix unit(point.Z.rows(), m);
  Vector q(m);
  for (Index k = 0; k < m; ++k) {
    const Index a = point.active[static_cast<std::size_t>(k)];
    patterns.push_back(groups[static_cast<std::size_t>(a)]);
    unit.col(k) = point.Z.col(a) / point.norms[a];
    q[k] = lengths.sigma * penalty.threshold(patterns.back()) / point.norms[a];
  }
  const Matrix free = root_.asDiagonal() * penalty.unpenalised;
  Matrix kept = (point.O.array() != 0).cast<double>();  // errors that are not zero
  kept = root_.cwiseAbs2().asDiagonal() * kept * lengths.tau;
  const Matrix right = -(root_.asDiagonal() * gradient);
  const bool factorises = n * c <= kMostFactorised;
  const auto hessian = [&] {
    const Matrix shared = space_.sum_of_blocks<double>(patterns, scale * (1 - q.array()));  // with I, lower triangle
    Matrix H = Matrix::Zero(n * c, n * c);
    for (Index l = 0; l < c; ++l) {
      auto block = H.block(l * n, l * n, n, n);
      block.triangularView<Eigen::Lower>() = root_.asDiagonal() * shared * root_.asDiagonal();
      if (free.cols() > 0) block.triangularView<Eigen::Lower>() += lengths.nu * free * free.transpose();
      block.diagonal() += Vector::Ones(n) - root_.cwiseAbs2() + kept.col(l);
    }
    Matrix images(n * c, m), image(n, c);
    for (Index k = 0; k < m; ++k) {
      RestrictedDesign(design_, {patterns[static_cast<std::size_t>(k)]}).fitted<double>(unit.col(k), image);
      image = root_.asDiagonal() * image;
      images.col(k) = std::sqrt(scale * q[k]) * image.reshaped();
    }
    add_outer_product(images, 1.0, H, design_.n_threads(), design_.monitor());
    return H;
  };
  Matrix L;
  const auto solve = [&](const Matrix& B) -> Matrix {
    Vector solved = B.reshaped();
    L.triangularView<Eigen::Lower>().solveInPlace(solved);
    L.triangularView<Eigen::Lower>().transpose().solveInPlace(solved);
    return solved.reshaped(n, c);
  };
  bool factorised = false;
  if (factorises) {
    L = hessian();
    factorised = cholesky(L, design_.n_threads(), design_.monitor());
    n_direct_ += factorised;
    if (factorised) return root_.asDiagonal() * solve(right);
  }
  // At long lengths the blocks' part is singular to rounding: with a little more on the diagonal its factor is a
  // preconditioner.
  for (double shift = kFirstShift; factorises && !factorised && shift <= kLastShift; shift *= 100) {
    L = hessian();
    L.diagonal() *= 1 + shift;
    factorised = cholesky(L, design_.n_threads(), design_.monitor());
  }
  const RestrictedDesign active(design_, std::move(patterns));
  const Matrix inverse_diagonal = (1 + kept.array()).inverse();
  const auto preconditioned = [&](const Matrix& B) -> Matrix {
    return factorised ? solve(B) : Matrix(inverse_diagonal.cwiseProduct(B));
  };
  Matrix D = Matrix::Zero(n, c), r = right, z = preconditioned(r), s = z, product(n, c), C(unit.rows(), m);
  double rz = r.cwiseProduct(z).sum();
  const double target = kCgAccuracy * kCgAccuracy * rz;
  for (int iteration = 0; iteration < kMostIterations && rz > target; ++iteration, ++n_cg_) {
    design_.monitor().poll();
    active.correlations<double>(root_.asDiagonal() * s, C);
    for (Index k = 0; k < m; ++k)
      C.col(k) = scale * ((1 - q[k]) * C.col(k) + q[k] * unit.col(k).dot(C.col(k)) * unit.col(k));
    active.fitted<double>(C, product);
    product = root_.asDiagonal() * product + s + kept.cwiseProduct(s);
    if (free.cols() > 0) product += lengths.nu * (free * (free.transpose() * s));
    const double curvature = s.cwiseProduct(product).sum();
    if (!(curvature > 0)) break;  // rounding
    const double length = rz / curvature;
    D += length * s;
    r -= length * product;
    z = preconditioned(r);
    const double next = r.cwiseProduct(z).sum();
    s = z + (next / rz) * s;
    rz = next;
  }
  return root_.asDiagonal() * D;
}

bool HuberNewton::solve(const GroupLassoProblem& penalty, const std::vector<Index>& groups, const Matrix& fitted,
                        Matrix& W, double tol, const std::function<double(const Matrix&)>& gap) {
  const RestrictedDesign design(design_, groups);
  const Matrix& Y = loss_.targets();
  const Matrix Z = penalty.unpenalised;
  const Index m = design.size(), n = Y.rows(), c = Y.cols();
  Matrix T = loss_.residual(fitted), C(W.rows(), m), fit(n, c), best = W;
  design.fitted<double>(W, fit);
  Matrix U = W, gamma = Z.transpose() * (fitted - fit);
  Matrix V = Y - fitted - inverse_.cwiseAbs2().asDiagonal() * T;
  for (Index j = 0; j < n; ++j)
    if (inverse_[j] == 0) V.row(j).setZero();

  // Lengths weigh a coefficient's size against its bound in the dual.
  double size = 0, threshold = 0, error = V.cwiseAbs().sum(), cap = 0;
  for (Index a = 0; a < m; ++a) {
    size += U.col(a).norm();
    threshold += U.col(a).isZero(0) ? 0 : penalty.threshold(groups[static_cast<std::size_t>(a)]);
  }
  for (Index j = 0; j < n; ++j)
    cap += loss_.cap() * loss_.weights()[j] * static_cast<double>((V.row(j).array() != 0).count());
  const double mean = loss_.weights().mean();
  const double block = 1 / std::max(mean * design_.trace(groups.front()), 1e-300);
  Lengths lengths{size > 0 ? size / threshold : block, error > 0 ? error / cap : 1 / mean, 0};
  const Lengths first = lengths;
  // Residuals within delta, which are a part of the dual point, need be known much better than delta.
  const double within = loss_.cap() * std::sqrt(loss_.weights().sum() * static_cast<double>(c));
  double least = gap(W), forcing = 1e-3, accuracy = 1e-2;
  int idle = 0;
  const Index most_steps = n_steps_ + kMostSteps;
  for (int step = 0; step < kProximalSteps && least > tol && n_steps_ < most_steps; ++step) {
    lengths.nu = 100 * lengths.tau;
    design.correlations<double>(T, C);
    Point point = at(penalty, groups, lengths, U + lengths.sigma * C, V + lengths.tau * T,
                     gamma + lengths.nu * (Z.transpose() * T));
    for (int newton = 0; newton < kNewtonSteps; ++newton) {
      design_.monitor().poll();
      design.fitted<double>(point.W, fit);
      Matrix gradient = inverse_.cwiseAbs2().asDiagonal() * T - Y + fit + point.O;
      if (Z.cols() > 0) gradient += Z * point.gamma;
      const double moved =
          (point.W - U).squaredNorm() / (2 * lengths.sigma) + (point.O - V).squaredNorm() / (2 * lengths.tau);
      // Accurate against what the proximal step itself moves, or against the gap to be reached.
      const double left = (root_.asDiagonal() * gradient).norm();
      if (0.5 * left * left <= forcing * std::max(tol, moved) && left <= accuracy * within) break;
      const Matrix D = direction(penalty, groups, lengths, point, gradient);
      ++n_steps_;
      design.correlations<double>(D, C);
      const Matrix ZD = Z.transpose() * D;
      const double slope = gradient.cwiseProduct(D).sum(),
                   linear = (inverse_.cwiseAbs2().asDiagonal() * T - Y).cwiseProduct(D).sum(),
                   square = (inverse_.asDiagonal() * D).squaredNorm();
      double t = 1;
      int halvings = 0;
      for (;; t /= 2, ++halvings) {
        Point next = at(penalty, groups, lengths, point.Z + lengths.sigma * t * C, point.errors + lengths.tau * t * D,
                        point.gamma + lengths.nu * t * ZD);
        const double difference = t * linear + 0.5 * t * t * square + next.above(point, lengths, penalty.ridge);
        if (difference <= kDecrease * t * slope || halvings == kHalvings) {
          point = std::move(next);
          break;
        }
      }
      if (halvings == kHalvings) break;  // rounding: no decrease is left
      T += t * D;
    }
    U = point.W;
    V = point.O;
    gamma = point.gamma;
    const double reached = gap(U);
    if (reached > 0.5 * least) {
      forcing = std::max(0.1 * forcing, 1e-12);
      accuracy = std::max(0.1 * accuracy, 1e-8);
    }
    idle = reached < 0.9 * least ? 0 : idle + 1;
    if (reached < least) {
      least = reached;
      best = U;
    }
    if (idle == kIdleSteps) break;
    lengths.sigma = std::min(kGrowth * lengths.sigma, kMostGrowth * first.sigma);
    lengths.tau = std::min(kGrowth * lengths.tau, kMostGrowth * first.tau);
  }
  W = best;
  gap(W);
  return least <= tol;
}

}  // namespace cvxrelu
