// Arithmetic modulo an odd prime below 2^62. A few nanoseconds a product, no memory.
#pragma once

#include <cstdint>

namespace cvxrelu {

/// Numbers a are kept as a 2^64 mod p (Montgomery 1985).
class PrimeField {
 public:
  using U64 = std::uint64_t;
  using U128 = unsigned __int128;

  explicit PrimeField(U64 p) : p_(p), inverse_(p) {
    for (int k = 0; k < 5; ++k) inverse_ *= 2 - p * inverse_;
    const U64 r = (~U64{0}) % p + 1;  // 2^64 mod p, or p itself, which does not happen for odd p > 1
    square_ = static_cast<U64>(static_cast<U128>(r) * r % p);
  }
  U64 reduce(U128 x) const {
    const U64 q = static_cast<U64>(x) * inverse_;
    const U64 high = static_cast<U64>(x >> 64), cut = static_cast<U64>(static_cast<U128>(q) * p_ >> 64);
    return high >= cut ? high - cut : high - cut + p_;
  }
  U64 multiply(U64 a, U64 b) const { return reduce(static_cast<U128>(a) * b); }
  U64 subtract(U64 a, U64 b) const { return a >= b ? a - b : a - b + p_; }
  U64 negate(U64 a) const { return a == 0 ? 0 : p_ - a; }
  U64 enter(U64 a) const { return multiply(a % p_, square_); }
  U64 leave(U64 a) const { return reduce(a); }
  U64 power(U64 a, U64 e) const {
    U64 result = enter(1);
    for (; e != 0; e >>= 1, a = multiply(a, a)) {
      if (e & 1) result = multiply(result, a);
    }
    return result;
  }
  U64 invert(U64 a) const { return power(a, p_ - 2); }
  U64 modulus() const { return p_; }

 private:
  U64 p_, inverse_, square_;
};

}  // namespace cvxrelu
