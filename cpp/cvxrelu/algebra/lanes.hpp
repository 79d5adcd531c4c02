// Whole arrays of float or double taken a vector at a time, through the compiler's vector types. Only what has no
// operator there (comparisons to bits, error-free products) is written for each instruction set.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cvxrelu/base/simd.hpp"
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

typedef Word WordVec __attribute__((vector_size(kVectorBytes)));
constexpr int kVectorWords = static_cast<int>(kVectorBytes / sizeof(Word));
inline WordVec load_words(const Word* p) {
  WordVec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store_words(Word* p, WordVec v) { std::memcpy(p, &v, sizeof v); }

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
  return x - Vec<S>{};  // which costs nothing, while x + 0 is an addition: it turns -0 into 0
}
template <class S>
inline Vec<S> absolute(Vec<S> v) {
  using Bits = typename LaneBits<S>::type;
  return (Vec<S>)((Bits)v & ~(LaneBits<S>::kSign - Bits{}));
}
/// Joins the halves of a vector, the halves of that, and so on until one entry is left.
template <class S, int kCount, class V, class Join>
inline S fold(const V& v, const Join& join) {
  if constexpr (kCount == 2) {
    return join(v[0], v[1]);
  } else {
    typedef S Half __attribute__((vector_size(kCount / 2 * sizeof(S))));
    Half halves[2];
    std::memcpy(halves, &v, sizeof v);
    return fold<S, kCount / 2>(join(halves[0], halves[1]), join);
  }
}
template <class S>
inline S total(Vec<S> v) {
  return fold<S, kLanes<S>>(v, [](const auto& a, const auto& b) { return a + b; });
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
  return fold<S, kLanes<S>>(v, [](const auto& a, const auto& b) { return a < b ? a : b; });
}

template <class S>
inline S greatest(Vec<S> v) {
  return fold<S, kLanes<S>>(v, [](const auto& a, const auto& b) { return a > b ? a : b; });
}

/// kBlock vectors from position j on of the sum of `count` columns with factors.
template <int kBlock, class S>
inline void combine(const S* const* columns, const S* factors, int count, int j, Vec<S>* sum) {
  for (int b = 0; b < kBlock; ++b) sum[b] = Vec<S>{};
  for (int m = 0; m < count; ++m) {
    const Vec<S> factor = broadcast(factors[m]);
    for (int b = 0; b < kBlock; ++b) sum[b] += factor * load(columns[m] + j + b * kLanes<S>);
  }
}

/// Calls work(number of vectors as a constant, position) for blocks of four vectors, and for those left at the end.
template <class S, class Work>
inline void in_blocks(int begin, int end, const Work& work) {
  int j = begin;
  for (; j + 4 * kLanes<S> <= end; j += 4 * kLanes<S>) work(std::integral_constant<int, 4>(), j);
  if (j + 2 * kLanes<S> < end) {
    work(std::integral_constant<int, 3>(), j);
  } else if (j + kLanes<S> < end) {
    work(std::integral_constant<int, 2>(), j);
  } else if (j < end) {
    work(std::integral_constant<int, 1>(), j);
  }
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

/// All bits of lane k where bit k is set.
template <class S>
inline auto in_lanes(std::uint32_t bits) {
  typename LaneBits<S>::type lane{};
  using Lane = std::remove_reference_t<decltype(lane[0])>;
  for (int k = 0; k < kLanes<S>; ++k) lane[k] = Lane{1} << k;
  return ((static_cast<Lane>(bits) - decltype(lane){}) & lane) != 0;
}

/// The smaller of `least` and |a / b|, the latter to a relative 2^-13, in the lanes whose bits are set.
template <class S>
inline Vec<S> minimum_ratio(Vec<S> least, Vec<S> a, Vec<S> b, std::uint32_t lanes) {
#if defined(__AVX512F__)
  const Vec<S> up = absolute<S>(a), down = absolute<S>(b);
  if constexpr (sizeof(S) == 8) {
    const __m512d ratio = _mm512_mul_pd((__m512d)up, _mm512_rcp14_pd((__m512d)down));
    return (Vec<S>)_mm512_mask_min_pd((__m512d)least, static_cast<__mmask8>(lanes), (__m512d)least, ratio);
  } else {
    const __m512 ratio = _mm512_mul_ps((__m512)up, _mm512_rcp14_ps((__m512)down));
    return (Vec<S>)_mm512_mask_min_ps((__m512)least, static_cast<__mmask16>(lanes), (__m512)least, ratio);
  }
#else
  const Vec<S> ratio = absolute<S>(a) / absolute<S>(b);
  return in_lanes<S>(lanes) ? minimum(least, ratio) : least;
#endif
}

/// The smaller of `least` and x, or -x where the bit of `plus` is not set, in the lanes whose bits are set.
template <class S>
inline Vec<S> minimum_signed(Vec<S> least, Vec<S> x, std::uint32_t plus, std::uint32_t lanes) {
#if defined(__AVX512F__)
  if constexpr (sizeof(S) == 8) {
    const auto minus = static_cast<__mmask8>(~plus);
    const __m512d y = _mm512_mask_sub_pd((__m512d)x, minus, _mm512_setzero_pd(), (__m512d)x);
    return (Vec<S>)_mm512_mask_min_pd((__m512d)least, static_cast<__mmask8>(lanes), (__m512d)least, y);
  } else {
    const auto minus = static_cast<__mmask16>(~plus);
    const __m512 y = _mm512_mask_sub_ps((__m512)x, minus, _mm512_setzero_ps(), (__m512)x);
    return (Vec<S>)_mm512_mask_min_ps((__m512)least, static_cast<__mmask16>(lanes), (__m512)least, y);
  }
#else
  const Vec<S> y = in_lanes<S>(plus) ? x : -x;
  return in_lanes<S>(lanes) ? minimum(least, y) : least;
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
