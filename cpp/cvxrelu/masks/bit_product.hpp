// Product of a 0/1 matrix, given as packed bits, with a dense matrix ("four Russians"; Arlazarov, Dinic, Kronrod and
// Faradzhev, 1970):
//
//     out[r, :] += sum_k B[r, k] U[k, :],   B of shape (rows, inner).
//
// The 16 sums of every four rows of U are tabulated, so that four multiply-adds become one vector addition.
// Cost: rows * inner / 4 + 4 * inner vector additions for each vector of columns; memory: 28 KiB of tables.
#pragma once

#include <algorithm>

#include "cvxrelu/base/simd.hpp"

namespace cvxrelu {

/// Bits of a 0/1 matrix: bit k % 8 of byte k / 8 of row r is B[r, k]. Bits past the last column must be zero.
struct BitRows {
  const std::uint8_t* bytes;
  Index stride;  // bytes from one row to the next
  Index rows;
};

namespace detail {

constexpr Index kTableBytes = 28 * 1024;  // fits a first-level cache of 32 KiB and leaves room for a row of `out`

// The 16 sums of four vectors, both `stride` apart. Eight of them stay in registers: read back from memory, each would
// wait for the store before it.
template <class S>
inline __attribute__((always_inline)) void store_sums(const S* vectors, Index stride, S* sums) {
  using V = Simd<S>;
  typename V::Vec sum[8];
  sum[0] = typename V::Vec{};
  for (int bit = 0; bit < 3; ++bit) {
    const typename V::Vec u = V::load(vectors + bit * stride);
    for (int i = 0; i < 1 << bit; ++i) sum[(1 << bit) + i] = u + sum[i];
  }
  const typename V::Vec u = V::load(vectors + 3 * stride);
  for (int i = 0; i < 8; ++i) {
    V::store(sums + i * stride, sum[i]);
    V::store(sums + (8 + i) * stride, u + sum[i]);
  }
}

// One slab of `kVectors` vectors of columns, from vector `slab` on.
template <class S, int kVectors, class Fill>
void bit_product_slab(BitRows bits, Index begin, Index end, Index slab, const Fill& fill, S* out, Index out_stride) {
  using V = Simd<S>;
  using Vec = typename V::Vec;
  constexpr Index width = kVectors * V::lanes;
  constexpr Index kEntry = width * static_cast<Index>(sizeof(S));
  constexpr Index kBlock = std::max<Index>(1, kTableBytes / (32 * kEntry));  // bytes of B whose tables are held
  alignas(64) S tables[kBlock * 32 * width];
  alignas(64) S rows[4 * width];

  const Index first_byte = begin / 8, last_byte = (end + 7) / 8;
  for (Index b0 = first_byte; b0 < last_byte; b0 += kBlock) {
    const Index b1 = std::min(last_byte, b0 + kBlock);
    for (Index nibble = 2 * b0; nibble < 2 * b1; ++nibble) {
      for (Index bit = 0; bit < 4; ++bit) {
        const Index k = 4 * nibble + bit;
        if (k < end)
          fill(k, slab * V::lanes, width, rows + bit * width);
        else
          std::fill_n(rows + bit * width, width, S(0));
      }
      S* table = tables + (nibble - 2 * b0) * 16 * width;
      for (int z = 0; z < kVectors; ++z) store_sums<S>(rows + z * V::lanes, width, table + z * V::lanes);
    }
    for (Index r = 0; r < bits.rows; ++r) {
      S* target = out + r * out_stride + slab * V::lanes;
      Vec sum[kVectors];
      for (int z = 0; z < kVectors; ++z) sum[z] = V::load(target + z * V::lanes);
      const std::uint8_t* byte = bits.bytes + r * bits.stride + b0;
      const S* table = tables;
      for (Index q = 0; q < b1 - b0; ++q, table += 32 * width) {
        const S* low = table + (byte[q] & 15) * width;
        const S* high = table + (16 + (byte[q] >> 4)) * width;
        for (int z = 0; z < kVectors; ++z) sum[z] += V::load(low + z * V::lanes) + V::load(high + z * V::lanes);
      }
      for (int z = 0; z < kVectors; ++z) V::store(target + z * V::lanes, sum[z]);
    }
  }
}

}  // namespace detail

/// out[r, 0:width] += sum over k in [begin, end) of B[r, k] U[k, 0:width].
///
/// `width` is a multiple of the lanes, `begin` a multiple of 8, rows of `out` are `out_stride` apart. The callable
/// `fill(k, column, count, target)` writes U[k, column : column + count]; it runs once for each k and slab of columns.
template <class S, class Fill>
void bit_product(BitRows bits, Index begin, Index end, Index width, const Fill& fill, S* out, Index out_stride) {
  // Registers would hold more sums, but tables of wide slabs leave no room for a second byte's: a row of `out` would be
  // loaded and stored as often as the tables are read.
  constexpr Index kMost = 4;
  const Index vectors = width / Simd<S>::lanes;
  const Index slabs = (vectors + kMost - 1) / kMost;
  for (Index slab = 0; slab < slabs; ++slab) {
    const Index first = vectors * slab / slabs, count = vectors * (slab + 1) / slabs - first;
    switch (count) {
#define CVXRELU_SLAB(k)                                                             \
  case k:                                                                           \
    detail::bit_product_slab<S, k>(bits, begin, end, first, fill, out, out_stride); \
    break
      CVXRELU_SLAB(1);
      CVXRELU_SLAB(2);
      CVXRELU_SLAB(3);
      CVXRELU_SLAB(4);
#undef CVXRELU_SLAB
    }
  }
}

/// Turns bits around: byte r / 8 of row k of `out` gets bit k of row r of `bits`, for the k in bytes [first, last) and
/// the rows padded by zeros to whole bytes. Rows of `out` have ceil(rows / 8) bytes.
void transpose_bits(BitRows bits, Index first, Index last, std::uint8_t* out);

}  // namespace cvxrelu
