#include "cvxrelu/gated/active_newton.hpp"

#include <Eigen/Cholesky>
#include <Eigen/QR>
#include <algorithm>
#include <cmath>

#include "cvxrelu/algebra/symmetric.hpp"

namespace cvxrelu {

struct ActiveNewton::Active {
  RestrictedDesign design;
  Matrix coef;      // (d c, m)
  Matrix unit;      // coef / norms
  Vector norms;     // ||W_a||
  Vector rho;       // beta omega_a / ||W_a||
  Matrix residual;  // (n, c)
  Matrix linear;    // (d c, m), or empty
  Matrix descent;   // minus the gradient, (d c, m)

  Active(const GroupLassoProblem& problem, const Iterate& iterate, std::vector<Index> groups)
      : design(problem.design, std::move(groups)), residual(iterate.residual) {
    const Index m = design.size();
    coef.resize(problem.block_size(), m);
    norms.resize(m);
    rho.resize(m);
    for (Index a = 0; a < m; ++a) {
      const Index group = design.patterns()[static_cast<std::size_t>(a)];
      coef.col(a) = iterate.coef.col(group);
      norms[a] = coef.col(a).norm();
      rho[a] = problem.threshold(group) / norms[a];
    }
    unit = coef * norms.cwiseInverse().asDiagonal();
    descent.resizeLike(coef);
    design.correlations<double>(residual, descent);
    descent -= coef * (rho.array() + problem.ridge).matrix().asDiagonal();
    if (!problem.linear) return;
    linear.resizeLike(coef);
    for (Index a = 0; a < m; ++a) linear.col(a) = problem.linear->col(design.patterns()[static_cast<std::size_t>(a)]);
    descent += linear;
  }
  Index size() const { return design.size(); }
};

namespace {

// Inverse of the diagonal blocks K^-1 - rho w w', K^-1 = G + (rho + ridge) I with G the Gram block, or its mean
// eigenvalue where spectra are not at hand.
class BlockPreconditioner {
 public:
  BlockPreconditioner(const GroupLassoProblem& problem, const std::vector<Index>& groups, const Matrix& unit,
                      const Vector& rho, BlockUpdate& blocks)
      : d_(problem.design.n_features()), scaled_unit_(unit), correction_(unit.cols()) {
    const Index m = unit.cols();
    if (blocks.exact()) {
      inverse_.reserve(static_cast<std::size_t>(m));
    } else {
      scalar_.resize(m);
    }
    for (Index a = 0; a < m; ++a) {
      const Index group = groups[static_cast<std::size_t>(a)];
      const double shift = rho[a] + problem.ridge;
      if (blocks.exact()) {
        const BlockSpectrum& G = blocks.spectrum(group);
        inverse_.push_back(G.vectors * (G.values.array() + shift).inverse().matrix().asDiagonal() *
                           G.vectors.transpose());
      } else {
        scalar_[a] = 1 / (blocks.trace(group) / static_cast<double>(d_) + shift);
      }
      apply_inverse(a, unit.col(a), scaled_unit_.col(a));
      // Sherman-Morrison; the floor keeps a block without curvature along w from dominating.
      const double rest = std::max(1e-6, 1 - rho[a] * unit.col(a).dot(scaled_unit_.col(a)));
      correction_[a] = rho[a] / rest;
    }
  }

  void apply(const Matrix& from, Matrix& to) const {
    for (Index a = 0; a < from.cols(); ++a) {
      apply_inverse(a, from.col(a), to.col(a));
      to.col(a) += correction_[a] * scaled_unit_.col(a).dot(from.col(a)) * scaled_unit_.col(a);
    }
  }

 private:
  template <class From, class To>
  void apply_inverse(Index a, const From& from, To&& to) const {
    if (inverse_.empty()) {
      to = scalar_[a] * from;
      return;
    }
    const auto& inverse = inverse_[static_cast<std::size_t>(a)];
    for (Index begin = 0; begin < from.size(); begin += d_)
      to.segment(begin, d_).noalias() = inverse * from.segment(begin, d_);
  }

  Index d_;
  std::vector<Matrix> inverse_;
  Vector scalar_;
  Matrix scaled_unit_;
  Vector correction_;
};

}  // namespace

// The inverse of the Hessian through sample space. With s_a = rho_a + ridge,
//
//     H = H0 - sum_a rho_a w_a w_a',   H0 = A'P A + diag(s_a),   S = I + sum_a A_a A_a' / s_a,
//     H0^-1 B = (B - A'Q A (B / s)) / s,   Q = S^-1 - S^-1 Z (Z'S^-1 Z)^-1 Z'S^-1.
//
// H0 treats every output o alone; the radial directions couple them: with v_ao = A_a w_ao,
//
//     H^-1 B = H0^-1 (B + sum_a s_a u_a w_a),
//     (sum_o V_o'Q V_o + diag(ridge s_a / rho_a)) u = (w_a'B_a)_a - sum_o V_o'Q A (B / s)_o.
template <class S>
class ActiveNewton::SampleInverse {
 public:
  SampleInverse(const GroupLassoProblem& problem, const Active& active, SampleSpace& space)
      : active_(active), shift_(active.rho.array() + problem.ridge) {
    const int threads = problem.design.n_threads();
    Monitor& monitor = problem.design.monitor();
    const Index n = problem.design.n_samples(), m = active.size(), c = problem.Y.cols();
    const std::vector<Index>& groups = active.design.patterns();
    L_ = space.sum_of_blocks<S>(groups, shift_.cwiseInverse());
    if (!cholesky(L_, threads, monitor)) return;
    if (problem.unpenalised.cols() > 0) {
      MatrixOf<S> LZ = problem.unpenalised.template cast<S>();
      solve_lower(L_, LZ, threads, monitor);
      LZ_ = Eigen::HouseholderQR<MatrixOf<S>>(LZ).householderQ() * MatrixOf<S>::Identity(n, LZ.cols());
    }
    LV_ = space.images<S>(groups, active.unit);
    solve_lower(L_, LV_, threads, monitor);
    project(LV_);
    MatrixOf<S> border = MatrixOf<S>::Zero(m, m);
    for (Index o = 0; o < c; ++o) add_inner_product(radial(o), S(1), border, threads, monitor);
    border.diagonal() += (problem.ridge * shift_.cwiseQuotient(active.rho)).template cast<S>();
    border.diagonal().array() += kSingular * border.trace() / static_cast<S>(m);  // equal blocks make it singular
    border_.compute(border);
    usable_ = border_.info() == Eigen::Success;
  }

  bool usable() const { return usable_; }

  void apply(const Matrix& from, Matrix& to) const {
    const Index n = L_.rows(), m = active_.size(), c = LV_.cols() / m;
    const auto inverse_shift = shift_.cwiseInverse().asDiagonal();
    Matrix z(n, c);
    active_.design.template fitted<S>(from * inverse_shift, z);
    MatrixOf<S> inner = z.template cast<S>();
    L_.template triangularView<Eigen::Lower>().solveInPlace(inner);
    project(inner);
    MatrixOf<S> u = active_.unit.cwiseProduct(from).colwise().sum().transpose().template cast<S>();
    for (Index o = 0; o < c; ++o) u.noalias() -= radial(o).transpose() * inner.col(o);
    border_.solveInPlace(u);
    for (Index o = 0; o < c; ++o) inner.col(o).noalias() += radial(o) * u;
    L_.template triangularView<Eigen::Lower>().transpose().solveInPlace(inner);
    z = inner.template cast<double>();
    active_.design.template correlations<S>(z, to);
    to = (from - to) * inverse_shift + active_.unit * u.col(0).template cast<double>().asDiagonal();
  }

 private:
  static constexpr S kSingular = sizeof(S) == 4 ? S(1e-6) : S(1e-12);

  auto radial(Index o) const { return LV_.middleCols(o * active_.size(), active_.size()); }

  // Off L^-1 Z.
  void project(MatrixOf<S>& B) const {
    if (LZ_.cols() > 0) B -= LZ_ * (LZ_.transpose() * B).eval();
  }

  const Active& active_;
  Vector shift_;
  MatrixOf<S> L_, LZ_, LV_;  // LV_ has the outputs side by side
  Eigen::LLT<MatrixOf<S>> border_;
  bool usable_ = false;
};

template <class S, class Preconditioner>
Matrix ActiveNewton::conjugate_gradients(const Active& active, const Preconditioner& preconditioner, Index most,
                                         Index& iterations) {
  constexpr double kForcing = 0.1;  // relative to the first residual, in the preconditioner's norm
  const Index m = active.size(), n = problem_.design.n_samples(), c = problem_.Y.cols();
  Matrix x = Matrix::Zero(problem_.block_size(), m), r = active.descent, z(r.rows(), m), q(r.rows(), m);
  Matrix fitted(n, c);
  preconditioner.apply(r, z);
  Matrix s = z;
  double rz = r.cwiseProduct(z).sum();
  const double target = kForcing * kForcing * rz;
  for (iterations = 0; iterations < most && rz > target; ++iterations) {
    problem_.design.monitor().poll();
    active.design.fitted<S>(s, fitted);
    problem_.project(fitted);
    active.design.correlations<S>(fitted, q);
    for (Index a = 0; a < m; ++a)
      q.col(a) += (active.rho[a] + problem_.ridge) * s.col(a) -
                  active.rho[a] * active.unit.col(a).dot(s.col(a)) * active.unit.col(a);
    const double curvature = s.cwiseProduct(q).sum();
    if (!(curvature > 0 && rz > 0)) break;
    const double length = rz / curvature;
    x += length * s;
    r -= length * q;
    preconditioner.apply(r, z);
    const double next = r.cwiseProduct(z).sum();
    s = z + (next / rz) * s;
    rz = next;
  }
  n_cg_ += iterations;
  work_ += static_cast<double>(iterations + 1) * iteration_work(m);
  return x;
}

template <class S>
Matrix ActiveNewton::direction_by_cg(const Active& active) {
  const BlockPreconditioner preconditioner(problem_, active.design.patterns(), active.unit, active.rho, blocks_);
  // What takes as long as a factorisation is left to one in the next step.
  const Index m = active.size(),
              most = factorises(m)
                         ? std::clamp(static_cast<Index>(factorisation_work(m) / iteration_work(m)), kLeastCg, kMostCg)
                         : kMostCg;
  Index iterations = 0;
  Matrix direction = conjugate_gradients<S>(active, preconditioner, most, iterations);
  expected_cg_ = std::max(kLeastCg, iterations < most ? iterations : 3 * most);
  return direction;
}

double ActiveNewton::factorisation_work(Index m) const {
  const double n = static_cast<double>(problem_.design.n_samples()),
               radial = static_cast<double>(m * problem_.Y.cols());
  const double work = space_.factorisation_work((1 + problem_.Y.cols()) * m) + n * radial * static_cast<double>(m);
  return single_factor_ ? work / 2 : work;
}

Matrix ActiveNewton::direction_by_factorisation(const Active& active) {
  ++n_direct_;
  // A factor in float32 costs half. It preconditions a few iterations, which make up for its rounding.
  constexpr Index kMostRefined = 8;
  work_ += factorisation_work(active.size());
  if (single_factor_) {
    Index iterations = kMostRefined;
    const SampleInverse<float> inverse(problem_, active, space_);
    Matrix direction;
    if (inverse.usable()) direction = conjugate_gradients<double>(active, inverse, kMostRefined, iterations);
    if (iterations < kMostRefined) return direction;
    single_factor_ = false;
    work_ += factorisation_work(active.size());
  }
  const SampleInverse<double> inverse(problem_, active, space_);
  if (!inverse.usable()) return {};
  Matrix direction(problem_.block_size(), active.size());
  inverse.apply(active.descent, direction);
  return direction;
}

bool ActiveNewton::factorises(Index m) const {
  return std::max(problem_.design.n_samples(), m * problem_.Y.cols()) <= SampleSpace::kMostSamples;
}

bool ActiveNewton::line_search(const Active& active, const Matrix& direction, Iterate& iterate) {
  const Index m = active.size();
  Matrix change(iterate.residual.rows(), iterate.residual.cols()), step = change;
  active.design.fitted<double>(direction, change);
  problem_.project(change);

  Matrix coef(direction.rows(), m);
  double t = 1;
  for (int halving = 0; halving < 14; ++halving, t /= 2) {
    // Differences are formed term by term: two objectives would agree in all but their last digits near the end.
    double difference = 0;
    std::vector<Index> zeroed;
    for (Index a = 0; a < m; ++a) {
      coef.col(a) = active.coef.col(a) + t * direction.col(a);
      const double threshold = problem_.threshold(active.design.patterns()[static_cast<std::size_t>(a)]);
      const double before = active.norms[a];
      if (coef.col(a).dot(active.coef.col(a)) <= 0) {
        coef.col(a).setZero();
        zeroed.push_back(a);
        difference -= threshold * before + 0.5 * problem_.ridge * before * before;
        continue;
      }
      const double squares = t * (2 * active.coef.col(a).dot(direction.col(a)) + t * direction.col(a).squaredNorm());
      difference += squares * (threshold / (before + coef.col(a).norm()) + 0.5 * problem_.ridge);
    }
    step = -t * change;
    if (!zeroed.empty()) {
      // What the full step would have left in these blocks is taken back.
      Matrix rest(direction.rows(), static_cast<Index>(zeroed.size()));
      std::vector<Index> groups;
      for (std::size_t k = 0; k < zeroed.size(); ++k) {
        rest.col(static_cast<Index>(k)) = active.coef.col(zeroed[k]) + t * direction.col(zeroed[k]);
        groups.push_back(active.design.patterns()[static_cast<std::size_t>(zeroed[k])]);
      }
      Matrix undone(step.rows(), step.cols());
      RestrictedDesign(problem_.design, groups).fitted<double>(rest, undone);
      problem_.project(undone);
      step += undone;
    }
    difference += 0.5 * step.cwiseProduct(2 * active.residual + step).sum();
    if (active.linear.size() > 0) difference -= active.linear.cwiseProduct(coef - active.coef).sum();
    if (difference < 0) {
      for (Index a = 0; a < m; ++a)
        iterate.coef.col(active.design.patterns()[static_cast<std::size_t>(a)]) = coef.col(a);
      iterate.residual += step;
      return true;
    }
  }
  return false;
}

bool ActiveNewton::step(Iterate& iterate) {
  std::vector<Index> groups = iterate.active();
  if (groups.empty()) return false;
  const Active active(problem_, iterate, std::move(groups));
  ++n_steps_;
  const Index m = active.size();
  if (factorises(m) && factorisation_work(m) < static_cast<double>(expected_cg_) * iteration_work(m)) {
    const Matrix direction = direction_by_factorisation(active);
    if (direction.size() > 0 && line_search(active, direction, iterate)) return true;
  }
  if (single_ && line_search(active, direction_by_cg<float>(active), iterate)) return true;
  single_ = false;
  return line_search(active, direction_by_cg<double>(active), iterate);
}

}  // namespace cvxrelu
