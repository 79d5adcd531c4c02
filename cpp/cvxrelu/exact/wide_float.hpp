// Floating-point numbers with 128 bits of significand and an exponent that ends nowhere near, for the few places where
// float64 is too coarse and exact numbers would be too long. From integers of 128 bits alone, as some compilers have no
// quadruple precision.
//
// A number is +-m 2^e with 2^127 <= m < 2^128, or zero. With u = 2^-126, products are x y (1 + d), |d| <= u, quotients
// x / y (1 + d), |d| <= 4 u, and sums x (1 + d1) + y (1 + d2), |d1|, |d2| <= u: what is shifted out is dropped, and
// there is no guard digit (Higham, Accuracy and Stability of Numerical Algorithms, 2.4). A few nanoseconds each.
#pragma once

#include <Eigen/Core>
#include <cmath>
#include <cstdint>

namespace cvxrelu {

class WideFloat {
 public:
  WideFloat() = default;
  WideFloat(double x) {  // not explicit: a float64 number is one of these
    int e = 0;
    const double fraction = std::frexp(std::abs(x), &e);
    significand_ = static_cast<U128>(static_cast<std::uint64_t>(std::ldexp(fraction, 64))) << 64;
    exponent_ = e - 128;
    negative_ = x < 0;
  }
  /// To nearest but for bits below the 64th; infinite or zero beyond the range.
  explicit operator double() const {
    const double size = std::ldexp(static_cast<double>(high(significand_)), bounded(exponent_ + 64));
    return negative_ ? -size : size;
  }

  WideFloat operator-() const { return {significand_, exponent_, !negative_}; }
  friend WideFloat operator+(const WideFloat& x, const WideFloat& y) {
    if (x.is_zero() || y.is_zero()) return x.is_zero() ? y : x;
    const bool swap = x.exponent_ != y.exponent_ ? x.exponent_ < y.exponent_ : x.significand_ < y.significand_;
    return swap ? add_smaller(y, x) : add_smaller(x, y);
  }
  friend WideFloat operator-(const WideFloat& x, const WideFloat& y) { return x + -y; }
  friend WideFloat operator*(const WideFloat& x, const WideFloat& y) {
    if (x.is_zero() || y.is_zero()) return {};
    const U128 lowest = product(low(x.significand_), low(y.significand_));
    const U128 cross1 = product(high(x.significand_), low(y.significand_));
    const U128 cross2 = product(low(x.significand_), high(y.significand_));
    const U128 middle = static_cast<U128>(low(cross1)) + low(cross2) + high(lowest);
    const U128 upper = product(high(x.significand_), high(y.significand_)) + high(cross1) + high(cross2) + high(middle);
    const int shift = upper >> 127 == 0;
    return {(upper << shift) | (static_cast<U128>(low(middle)) << 64 >> 127 & static_cast<U128>(shift)),
            x.exponent_ + y.exponent_ + 128 - shift, x.negative_ != y.negative_};
  }
  /// Newton's iteration for 1 / y, from float64: 53 bits, 106, 126. y is not zero.
  friend WideFloat operator/(const WideFloat& x, const WideFloat& y) {
    const WideFloat unit(y.significand_, -128, false);  // in [1/2, 1)
    WideFloat inverse = 1 / static_cast<double>(unit);
    for (int round = 0; round < 2; ++round) inverse = inverse + inverse * (WideFloat(1) - unit * inverse);
    inverse.exponent_ -= y.exponent_ + 128;
    inverse.negative_ = y.negative_;
    return x * inverse;
  }
  WideFloat& operator+=(const WideFloat& y) { return *this = *this + y; }
  WideFloat& operator-=(const WideFloat& y) { return *this = *this - y; }
  WideFloat& operator/=(const WideFloat& y) { return *this = *this / y; }
  WideFloat& operator*=(const WideFloat& y) { return *this = *this * y; }

  bool is_zero() const { return significand_ == 0; }
  int sign() const { return is_zero() ? 0 : negative_ ? -1 : 1; }
  friend WideFloat abs(const WideFloat& x) { return {x.significand_, x.exponent_, false}; }
  /// As for quotients, by Newton's iteration for the inverse square root; x is not negative. Good to 4 u as well.
  friend WideFloat sqrt(const WideFloat& x) {
    if (x.is_zero()) return {};
    const std::int64_t half = (x.exponent_ + 128) >> 1;
    const WideFloat unit(x.significand_, x.exponent_ - 2 * half, false);  // in [1/2, 2)
    WideFloat inverse = 1 / std::sqrt(static_cast<double>(unit));
    for (int round = 0; round < 2; ++round) {
      inverse = inverse + inverse * (WideFloat(1) - unit * inverse * inverse) * WideFloat(0.5);
    }
    WideFloat root = unit * inverse;
    root.exponent_ += half;
    return root;
  }
  friend bool operator==(const WideFloat& x, const WideFloat& y) { return !(x < y) && !(y < x); }
  friend bool operator>(const WideFloat& x, const WideFloat& y) { return y < x; }
  friend bool operator<(const WideFloat& x, const WideFloat& y) {
    if (x.sign() != y.sign() || x.is_zero()) return x.sign() < y.sign();
    const bool smaller = x.exponent_ != y.exponent_ ? x.exponent_ < y.exponent_ : x.significand_ < y.significand_;
    return x.negative_ ? abs(y) < abs(x) : smaller;
  }

 private:
  using U128 = unsigned __int128;

  WideFloat(U128 significand, std::int64_t exponent, bool negative)
      : significand_(significand), exponent_(exponent), negative_(negative) {}

  static std::uint64_t high(U128 x) { return static_cast<std::uint64_t>(x >> 64); }
  static std::uint64_t low(U128 x) { return static_cast<std::uint64_t>(x); }
  static U128 product(std::uint64_t a, std::uint64_t b) { return static_cast<U128>(a) * b; }
  static int bounded(std::int64_t e) { return static_cast<int>(e < -4096 ? -4096 : e > 4096 ? 4096 : e); }

  /// |y| <= |x|, neither zero.
  static WideFloat add_smaller(const WideFloat& x, const WideFloat& y) {
    const std::int64_t distance = x.exponent_ - y.exponent_;
    if (distance >= 128) return x;
    const U128 shifted = y.significand_ >> distance;
    if (x.negative_ == y.negative_) {
      const U128 sum = x.significand_ + shifted;
      if (sum >= shifted) return {sum, x.exponent_, x.negative_};
      return {(sum >> 1) | (static_cast<U128>(1) << 127), x.exponent_ + 1, x.negative_};
    }
    const U128 rest = x.significand_ - shifted;
    if (rest == 0) return {};
    const int zeros = high(rest) != 0 ? __builtin_clzll(high(rest)) : 64 + __builtin_clzll(low(rest));
    return {rest << zeros, x.exponent_ - zeros, x.negative_};
  }

  U128 significand_ = 0;
  std::int64_t exponent_ = 0;
  bool negative_ = false;
};

}  // namespace cvxrelu

template <>
struct Eigen::NumTraits<cvxrelu::WideFloat> : Eigen::GenericNumTraits<cvxrelu::WideFloat> {
  enum {
    IsComplex = 0,
    IsInteger = 0,
    IsSigned = 1,
    RequireInitialization = 1,
    ReadCost = 4,
    AddCost = 20,
    MulCost = 20
  };
};
