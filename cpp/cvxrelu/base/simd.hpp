// Vectors of the widest kind that the module is compiled for, through the compiler's vector extension: arithmetic
// operators work lane by lane, and the same source serves AVX-512, AVX2, SSE2 and NEON.
#pragma once

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

#if defined(__AVX512F__)
constexpr Index kVectorBytes = 64;
#elif defined(__AVX__)
constexpr Index kVectorBytes = 32;
#else
constexpr Index kVectorBytes = 16;
#endif

template <class S>
struct Simd {
  typedef S Vec __attribute__((vector_size(kVectorBytes)));
  static constexpr Index lanes = kVectorBytes / static_cast<Index>(sizeof(S));

  static Vec load(const S* from) {
    Vec v;
    std::memcpy(&v, from, sizeof v);
    return v;
  }
  static void store(S* to, Vec v) { std::memcpy(to, &v, sizeof v); }
  static Vec broadcast(S value) { return value - Vec{}; }  // x + 0 would be an addition, since it turns -0 into 0
  static S sum(Vec v) {
#ifdef __AVX512F__
    if constexpr (sizeof(S) == 8)
      return _mm512_reduce_add_pd((__m512d)v);
    else
      return _mm512_reduce_add_ps((__m512)v);
#else
    S total = v[0];
    for (Index i = 1; i < lanes; ++i) total += v[i];
    return total;
#endif
  }
};

/// Rounds up to whole vectors.
template <class S>
constexpr Index padded(Index size) {
  return (size + Simd<S>::lanes - 1) / Simd<S>::lanes * Simd<S>::lanes;
}

/// An uninitialised array on a cache line's border.
template <class S>
class AlignedArray {
 public:
  explicit AlignedArray(Index size = 0) { resize(size); }
  void resize(Index size) {
    if (size <= capacity_) return;
    const std::size_t bytes = (static_cast<std::size_t>(size) * sizeof(S) + 63) / 64 * 64;
    data_.reset(static_cast<S*>(std::aligned_alloc(64, bytes)));
    if (!data_) throw std::bad_alloc();
    capacity_ = size;
  }
  S* data() { return data_.get(); }
  const S* data() const { return data_.get(); }
  S& operator[](Index i) { return data_.get()[i]; }
  const S& operator[](Index i) const { return data_.get()[i]; }

 private:
  struct Free {
    void operator()(S* p) const { std::free(p); }
  };
  std::unique_ptr<S, Free> data_;
  Index capacity_ = 0;
};

}  // namespace cvxrelu
