// Whole arrays of float or double taken a vector at a time, through the compiler's vector types. Only what has no
// operator there (comparisons to bits, error-free products) is written for each instruction set.
#pragma once

#include <cstdint>
#include <cstring>

#include "cvxrelu/simd.hpp"
#ifdef __SSE2__
#include <immintrin.h>
#endif

namespace cvxrelu {

template <class S>
using Vec = typename Simd<S>::Vec;

template <class S>
constexpr int kLanes = static_cast<int>(Simd<S>::lanes);

template <class S>
constexpr std::uint32_t kAllLanes = (std::uint32_t{1} << kLanes<S>)-1;

template <class S>
struct LaneBits;
template <>
struct LaneBits<double> {
  typedef std::int64_t type __attribute__((vector_size(kVectorBytes)));
  static constexpr std::int64_t kSign = INT64_MIN;
  static constexpr double kRound = 0x1.8p52;  // x + kRound - kRound is x rounded to an integer, |x| <= 2^51
};
template <>
struct LaneBits<float> {
  typedef std::int32_t type __attribute__((vector_size(kVectorBytes)));
  static constexpr std::int32_t kSign = INT32_MIN;
  static constexpr float kRound = 0x1.8p23f;
};

template <class S>
inline Vec<S> load(const S* p) {
  return Simd<S>::load(p);
}
template <class S>
inline void store(S* p, Vec<S> v) {
  Simd<S>::store(p, v);
}
template <class S>
inline Vec<S> broadcast(S x) {
  return Simd<S>::broadcast(x);
}
template <class S>
inline Vec<S> absolute(Vec<S> v) {
  using Bits = typename LaneBits<S>::type;
  return (Vec<S>)((Bits)v & ~(LaneBits<S>::kSign - Bits{}));
}
template <class S>
inline S total(Vec<S> v) {
  typedef S Half __attribute__((vector_size(kVectorBytes / 2)));
  Half halves[2];
  std::memcpy(halves, &v, sizeof v);
  const Half half = halves[0] + halves[1];
  S sum = half[0];
  for (int k = 1; k < kLanes<S> / 2; ++k) sum += half[k];
  return sum;
}

template <class V>
inline V maximum(V a, V b) {
  return a > b ? a : b;
}
template <class V>
inline V minimum(V a, V b) {
  return a < b ? a : b;
}
template <class S>
inline S smallest(Vec<S> v) {
  S result = v[0];
  for (int k = 1; k < kLanes<S>; ++k) result = v[k] < result ? v[k] : result;
  return result;
}

/// Bit k is set where a[k] < b[k].
inline std::uint32_t less_bits(Vec<double> a, Vec<double> b) {
#if defined(__AVX512F__)
  return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_LT_OQ);
#elif defined(__AVX__)
  return static_cast<std::uint32_t>(_mm256_movemask_pd((__m256d)(a < b)));
#elif defined(__SSE2__)
  return static_cast<std::uint32_t>(_mm_movemask_pd((__m128d)(a < b)));
#else
  std::uint32_t bits = 0;
  for (int k = 0; k < kLanes<double>; ++k) bits |= static_cast<std::uint32_t>(a[k] < b[k]) << k;
  return bits;
#endif
}
inline std::uint32_t less_bits(Vec<float> a, Vec<float> b) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ);
#elif defined(__AVX__)
  return static_cast<std::uint32_t>(_mm256_movemask_ps((__m256)(a < b)));
#elif defined(__SSE2__)
  return static_cast<std::uint32_t>(_mm_movemask_ps((__m128)(a < b)));
#else
  std::uint32_t bits = 0;
  for (int k = 0; k < kLanes<float>; ++k) bits |= static_cast<std::uint32_t>(a[k] < b[k]) << k;
  return bits;
#endif
}

/// Eight or fewer entries of either type, as doubles.
inline Vec<double> load_double(const double* p) { return load(p); }
inline Vec<double> load_double(const float* p) {
  typedef float Half __attribute__((vector_size(kVectorBytes / 2)));
  Half half;
  std::memcpy(&half, p, sizeof half);
  return __builtin_convertvector(half, Vec<double>);
}

/// a b = high + low exactly, unless a product overflows or underflows.
inline void exact_product(Vec<double> a, Vec<double> b, Vec<double>& high, Vec<double>& low) {
#if defined(__AVX512F__)
  high = a * b;
  low = (Vec<double>)_mm512_fmsub_pd((__m512d)a, (__m512d)b, (__m512d)high);
#elif defined(__FMA__)
  high = a * b;
  low = (Vec<double>)_mm256_fmsub_pd((__m256d)a, (__m256d)b, (__m256d)high);
#elif defined(__FP_FAST_FMA)
  high = a * b;
  for (int k = 0; k < kLanes<double>; ++k) low[k] = __builtin_fma(a[k], b[k], -high[k]);
#else
  // Dekker, Numerische Mathematik 18 (1971); there is no fused instruction to contract to here.
  const Vec<double> split = broadcast(134217729.0), ca = split * a, cb = split * b;
  const Vec<double> a1 = ca - (ca - a), a2 = a - a1, b1 = cb - (cb - b), b2 = b - b1;
  high = a * b;
  low = ((a1 * b1 - high) + a1 * b2 + a2 * b1) + a2 * b2;
#endif
}

}  // namespace cvxrelu
