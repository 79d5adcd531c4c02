// The generalised Hessian of the augmented Lagrangian of cone_newton.hpp, and linear systems with it:
//
//     H = I + V V',   V V' = W^1/2 ( sigma sum_b A_b C_b A_b' + tau Z Z' ) W^1/2,
//     C_b = r_b r_b' + shrink_b (P_b - r_b r_b'),
//
// over the non-zero blocks: P_b projects orthogonally onto the span of the face that block b lies on, r_b is the unit
// vector along the block, and shrink_b = 1 - sigma beta / length. W has the curvatures of the loss on its diagonal
// (none for the squared loss), Z the unpenalised columns. Products use bit tables (masked_design.hpp) and never form V,
// which has K columns: sum_b dim(face_b), and those of Z.
//
// Systems are solved by conjugate gradients in float64 with a factor of an earlier H, usually in float32, as the
// preconditioner: of I + V V', (n, n), or of I + V'V, (K, K), by the identity of Woodbury, whichever is smaller. It
// pays as long as faces and sigma changed little; where it costs more iterations than a factorisation, H is factorised
// anew, and in float64 where float32 is too coarse.
//
// Cost: a factorisation n K min(n, K) multiply-adds, a product that of two with the masked design. Memory: n K floats.
#pragma once

#include <vector>

#include "cvxrelu/algebra/thin_qr.hpp"
#include "cvxrelu/cones/cone_list.hpp"

namespace cvxrelu {

/// The face that a non-zero block lies on.
struct ConeFace {
  Index position = 0;               // of the pattern in the restricted design
  const ThinQr* normals = nullptr;  // of the rows that are active there
  Vector radial;
  double shrink = 0;
};

class ConeHessian {
 public:
  explicit ConeHessian(const ConeList& list) : list_(list) {}

  /// Makes H the Hessian with these faces, after Z is set. Keeps references to the design and to the normals.
  void set(const RestrictedDesign& design, std::vector<ConeFace> faces, double sigma);

  /// The roots of W, empty where all are 1; and Z with tau. Keeps a reference to Z.
  void set_curvature(Vector roots) { roots_ = std::move(roots); }
  void set_unpenalised(const Matrix& Z, double tau) {
    Z_ = &Z;
    tau_ = tau;
  }

  /// sigma sum_b A_b C_b A_b' x + tau Z Z'x, without the curvatures.
  Vector blocks_product(const Vector& x);

  /// x with ||H x - b|| <= tolerance ||b||.
  Vector solve(const VectorView& b, double tolerance);

 private:
  template <class S>
  struct Factor {
    MatrixOf<S> X, V, L;  // X in this precision; L L' is I + V V' or, when V has fewer columns than rows, I + V'V
    bool valid = false;
  };

  Index unpenalised() const { return Z_ == nullptr ? 0 : Z_->cols(); }
  Vector product(const Vector& x);
  template <class S>
  void form_columns(Factor<S>& factor) const;
  template <class S>
  bool factorise(Factor<S>& factor);
  template <class S>
  static Vector apply_inverse(const Factor<S>& factor, const Vector& x);
  Vector precondition(const Vector& x) const;
  bool iterate(Vector& x, Vector& residual, double target, Index most);
  Index patience() const;

  const ConeList& list_;
  const RestrictedDesign* design_ = nullptr;
  std::vector<ConeFace> faces_;
  double sigma_ = 0;
  Index columns_ = 0;  // K
  Vector roots_;
  const Matrix* Z_ = nullptr;
  double tau_ = 0;
  Factor<float> single_;
  Factor<double> double_;
  Matrix correlations_, coefficients_;
};

}  // namespace cvxrelu
