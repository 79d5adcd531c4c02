#include "cvxrelu/gated/active_newton.hpp"

#include <Eigen/Cholesky>
#include <cmath>

#include "cvxrelu/algebra/symmetric.hpp"

namespace cvxrelu {

namespace {

constexpr Index kMostCg = 100;  // conjugate-gradient iterations of a step

}  // namespace

struct ActiveNewton::Active {
  RestrictedDesign design;
  Matrix coef;      // (d c, m)
  Matrix unit;      // coef / norms
  Vector norms;     // ||W_a||
  Vector rho;       // beta omega_a / ||W_a||
  Matrix residual;  // (n, c)
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

// The inverse of the Hessian through sample space: with s_a = rho_a + ridge, v_a = A_a w_a, the solution of H D = B is
//
//     D_a = (I - w_a w_a')(B_a - A_a'z) / s_a + t_a w_a,   S z - V t = sum_a A_a (I - w_a w_a') B_a / s_a,
//                                                          V'z + ridge t = (w_a'B_a)_a.
template <class S>
class ActiveNewton::SampleInverse {
 public:
  SampleInverse(const GroupLassoProblem& problem, const Active& active, SampleSpace& space)
      : problem_(problem), active_(active), inverse_shift_((active.rho.array() + problem.ridge).inverse()) {
    const int threads = problem.design.n_threads();
    Monitor& monitor = problem.design.monitor();
    const Index m = active.size();
    const std::vector<Index>& groups = active.design.patterns();
    LV_ = space.images(groups, active.unit).template cast<S>();
    L_ = space.sum_of_blocks<S>(groups, inverse_shift_);
    add_outer_product(LV_ * inverse_shift_.cwiseSqrt().template cast<S>().asDiagonal(), S(-1), L_, threads, monitor);
    if (!cholesky(L_, threads, monitor)) return;
    solve_lower(L_, LV_, threads, monitor);
    MatrixOf<S> border = MatrixOf<S>::Identity(m, m) * static_cast<S>(problem.ridge);
    add_outer_product(LV_.transpose(), S(1), border, threads, monitor);
    border.diagonal().array() += kSingular * border.trace() / static_cast<S>(m);  // equal blocks make it singular
    border_.compute(border);
    usable_ = border_.info() == Eigen::Success;
  }

  bool usable() const { return usable_; }

  void apply(const Matrix& from, Matrix& to) const {
    Matrix z(problem_.design.n_samples(), 1);
    to = across(from);
    active_.design.template fitted<S>(to, z);
    const Vector radial = active_.unit.cwiseProduct(from).colwise().sum().transpose();
    MatrixOf<S> inner = z.template cast<S>();
    L_.template triangularView<Eigen::Lower>().solveInPlace(inner);
    const MatrixOf<S> t = border_.solve(radial.template cast<S>() - LV_.transpose() * inner);
    inner += LV_ * t;
    L_.template triangularView<Eigen::Lower>().transpose().solveInPlace(inner);
    z = inner.template cast<double>();
    active_.design.template correlations<S>(z, to);
    to = across(from - to) + active_.unit * t.template cast<double>().col(0).asDiagonal();
  }

 private:
  static constexpr S kSingular = sizeof(S) == 4 ? S(1e-6) : S(1e-12);

  // (I - w_a w_a') B_a / s_a
  Matrix across(const Matrix& B) const {
    const Vector radial = active_.unit.cwiseProduct(B).colwise().sum().transpose();
    return (B - active_.unit * radial.asDiagonal()) * inverse_shift_.asDiagonal();
  }

  const GroupLassoProblem& problem_;
  const Active& active_;
  Vector inverse_shift_;
  MatrixOf<S> L_, LV_;
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
  work_ += 2 * static_cast<double>(iterations + 1) * problem_.design.product_work(m, c);
  return x;
}

template <class S>
Matrix ActiveNewton::direction_by_cg(const Active& active) {
  const BlockPreconditioner preconditioner(problem_, active.design.patterns(), active.unit, active.rho, blocks_);
  return conjugate_gradients<S>(active, preconditioner, kMostCg, last_cg_);
}

Matrix ActiveNewton::direction_by_factorisation(const Active& active) {
  const double work = space_.factorisation_work(3 * active.size());
  ++n_direct_;
  // A factor in float32 costs half. It preconditions a few iterations, which make up for its rounding.
  constexpr Index kMostRefined = 8;
  if (single_factor_ && work > 8 * kMostRefined * problem_.design.product_work(active.size(), 1)) {
    work_ += work / 2;
    Index iterations = kMostRefined;
    const SampleInverse<float> inverse(problem_, active, space_);
    Matrix direction;
    if (inverse.usable()) direction = conjugate_gradients<double>(active, inverse, kMostRefined, iterations);
    if (iterations < kMostRefined) return direction;
    single_factor_ = false;
  }
  work_ += work;
  const SampleInverse<double> inverse(problem_, active, space_);
  if (!inverse.usable()) return {};
  Matrix direction(problem_.block_size(), active.size());
  inverse.apply(active.descent, direction);
  return direction;
}

bool ActiveNewton::factorise_is_cheaper(const Active& active) {
  const Index n = problem_.design.n_samples(), c = problem_.Y.cols();
  // With several outputs the radial corrections couple them, and unpenalised columns would need a border of their own.
  if (c > 1 || problem_.unpenalised.cols() > 0 || n > SampleSpace::kMostSamples) return false;
  const double factorisation = space_.factorisation_work(3 * active.size()) * (single_factor_ ? 0.5 : 1);
  // Conjugate gradients that ran into their limit left a poor direction, and more steps to come.
  const double iterations = static_cast<double>(std::max<Index>(last_cg_, 5)) * (last_cg_ == kMostCg ? 3 : 1);
  return factorisation < 2 * iterations * problem_.design.product_work(active.size(), c);
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
  if (factorise_is_cheaper(active)) {
    const Matrix direction = direction_by_factorisation(active);
    if (direction.size() > 0 && line_search(active, direction, iterate)) return true;
  }
  if (single_ && line_search(active, direction_by_cg<float>(active), iterate)) return true;
  single_ = false;
  return line_search(active, direction_by_cg<double>(active), iterate);
}

}  // namespace cvxrelu
