#include "cvxrelu/gated/loss_newton.hpp"

namespace cvxrelu {

struct LossNewton::Active {
  RestrictedDesign design;
  double ridge;
  Matrix coef;
  Vector norms, threshold, rho;
  Matrix unit;

  Active(const GroupLassoProblem& penalty, std::vector<Index> groups, Matrix blocks)
      : design(penalty.design, std::move(groups)),
        ridge(penalty.ridge),
        coef(std::move(blocks)),
        norms(coef.colwise().norm()),
        threshold(design.size()) {
    for (Index a = 0; a < design.size(); ++a)
      threshold[a] = penalty.threshold(design.patterns()[static_cast<std::size_t>(a)]);
    rho = threshold.cwiseQuotient(norms);
    unit = coef * norms.cwiseInverse().asDiagonal();
  }

  // S times the diagonal matrices with `along` for the part of a column along unit, `across` for the rest.
  Matrix scaled(const Matrix& S, const Vector& along, const Vector& across) const {
    const Vector radial = unit.cwiseProduct(S).colwise().sum();
    return S * across.asDiagonal() + unit * radial.cwiseProduct(along - across).asDiagonal();
  }

  double penalty(const Matrix& blocks) const {
    return threshold.dot(blocks.colwise().norm()) + 0.5 * ridge * blocks.squaredNorm();
  }
};

template <class S>
Matrix LossNewton::direction(const Active& active, const MatrixView& Z, const MatrixView& fitted) {
  constexpr int kMostCg = 200;
  constexpr double kForcing = 0.1;  // relative to the first residual, in the preconditioner's norm
  const MaskedDesign& design = active.design.design();
  const Index m = active.design.size();
  const Vector ridge = Vector::Constant(m, active.ridge), curved = active.rho + ridge;
  const double curvature_of_sample = loss_->curvature(fitted, 0).mean(), mean_curvature = 0.5 * curvature_of_sample;
  const double free = curvature_of_sample > 0 ? 1 / curvature_of_sample : 1;  // Z is orthonormal
  Vector data(m);
  for (Index a = 0; a < m; ++a)
    data[a] = mean_curvature * design.trace(active.design.patterns()[static_cast<std::size_t>(a)]) /
              static_cast<double>(design.n_features());
  const Vector along = (data + ridge).cwiseMax(1e-6 * (data + curved)).cwiseInverse(),
               across = (data + curved).cwiseInverse();

  Matrix r(active.coef.rows(), m), q(r.rows(), m), image(fitted.rows(), fitted.cols());
  active.design.correlations<double>(loss_->residual(fitted), r);
  r -= active.coef * curved.asDiagonal();
  Matrix x = Matrix::Zero(r.rows(), m), z = active.scaled(r, along, across), s = z;
  Matrix r_free = Z.transpose() * loss_->residual(fitted), s_free = free * r_free;
  double rz = r.cwiseProduct(z).sum() + free * r_free.squaredNorm();
  const double target = kForcing * kForcing * rz;
  for (int iteration = 0; iteration < kMostCg && rz > target; ++iteration, ++n_cg_) {
    design.monitor().poll();
    active.design.template fitted<S>(s, image);
    if (Z.cols() > 0) image.noalias() += Z * s_free;
    const Matrix product = loss_->hessian_product(fitted, image);
    active.design.template correlations<S>(product, q);
    q += active.scaled(s, ridge, curved);
    const Matrix q_free = Z.transpose() * product;
    const double curvature = s.cwiseProduct(q).sum() + s_free.cwiseProduct(q_free).sum();
    if (!(curvature > 0)) break;
    const double length = rz / curvature;
    x += length * s;
    r -= length * q;
    r_free -= length * q_free;
    z = active.scaled(r, along, across);
    const double next = r.cwiseProduct(z).sum() + free * r_free.squaredNorm();
    s = z + (next / rz) * s;
    s_free = free * r_free + (next / rz) * s_free;
    rz = next;
  }
  return x;
}

bool LossNewton::step(const GroupLassoProblem& penalty, const std::vector<Index>& groups, Matrix& W,
                      CompletedFit& fit) {
  std::vector<Index> nonzero, patterns;
  for (Index a = 0; a < W.cols(); ++a)
    if (!W.col(a).isZero(0)) {
      nonzero.push_back(a);
      patterns.push_back(groups[static_cast<std::size_t>(a)]);
    }
  if (nonzero.empty()) return false;
  Matrix blocks(W.rows(), static_cast<Index>(nonzero.size()));
  for (Index k = 0; k < blocks.cols(); ++k) blocks.col(k) = W.col(nonzero[static_cast<std::size_t>(k)]);
  const Active active(penalty, std::move(patterns), std::move(blocks));
  const MatrixView& Z = penalty.unpenalised;
  ++n_steps_;
  // Near the optimum a step mends the gradient where the objective no longer tells.
  const double most = (1 + 1e-15) * (loss_->value(fit.outputs) + active.penalty(active.coef));
  CompletedFit trial = fit;
  const auto search = [&](const Matrix& step) {
    double t = 1;
    for (int halving = 0; halving < 14; ++halving, t /= 2) {
      Matrix coef = active.coef + t * step;
      for (Index a = 0; a < coef.cols(); ++a)
        if (coef.col(a).dot(active.coef.col(a)) <= 0) coef.col(a).setZero();
      active.design.fitted<double>(coef, trial.blocks);
      trial.complete(*loss_, Z);
      if (loss_->value(trial.outputs) + active.penalty(coef) <= most) {
        for (Index k = 0; k < coef.cols(); ++k) W.col(nonzero[static_cast<std::size_t>(k)]) = coef.col(k);
        fit = std::move(trial);
        return true;
      }
    }
    return false;
  };
  if (single_ && search(direction<float>(active, Z, fit.outputs))) return true;
  single_ = false;
  return search(direction<double>(active, Z, fit.outputs));
}

}  // namespace cvxrelu
