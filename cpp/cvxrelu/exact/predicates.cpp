#include "cvxrelu/exact/predicates.hpp"

#include <array>
#include <cmath>

namespace cvxrelu {

namespace {

// Products of two 53-bit mantissas are integers times powers of two between 2^-2252 (subnormal numbers have mantissas
// with zeros at their ends) and 2^1942. They are summed
// exactly in a fixed-point number: limbs of 32 bits held in int64, so that 2^31 additions fit before a carry
// is due.
constexpr int kLowest = -2272;
constexpr int kLimbs = (2272 + 2100) / 32 + 4;

}  // namespace

int exact_dot_sign(const double* a, const double* b, Index d) {
  std::array<std::int64_t, kLimbs> limbs{};
  for (Index k = 0; k < d; ++k) {
    if (a[k] == 0 || b[k] == 0) continue;
    int exponent_a, exponent_b;
    const auto mantissa_a = static_cast<std::int64_t>(std::ldexp(std::frexp(a[k], &exponent_a), 53));
    const auto mantissa_b = static_cast<std::int64_t>(std::ldexp(std::frexp(b[k], &exponent_b), 53));
    const bool negative = (mantissa_a < 0) != (mantissa_b < 0);
    unsigned __int128 product =
        static_cast<unsigned __int128>(std::abs(mantissa_a)) * static_cast<unsigned __int128>(std::abs(mantissa_b));
    const int position = exponent_a + exponent_b - 106 - kLowest;
    int limb = position / 32;
    const int shift = position % 32;
    // 106 bits shifted by up to 31 would not fit 128, so the lowest limb is split off first.
    const auto low = static_cast<std::uint64_t>(product & 0xffffffffu) << shift;
    product >>= 32;
    product <<= shift;
    product += low >> 32;
    std::int64_t part = static_cast<std::int64_t>(low & 0xffffffffu);
    for (;; ++limb) {
      limbs[limb] += negative ? -part : part;
      if (product == 0) break;
      part = static_cast<std::int64_t>(product & 0xffffffffu);
      product >>= 32;
    }
  }
  std::int64_t carry = 0;
  bool nonzero = false;
  for (auto& limb : limbs) {
    const std::int64_t value = limb + carry;
    carry = value >> 32;  // floor division, also for negative values
    nonzero = nonzero || (value & 0xffffffff) != 0;
  }
  if (carry < 0) return -1;
  return nonzero || carry > 0 ? 1 : 0;
}

}  // namespace cvxrelu
