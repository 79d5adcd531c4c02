#include "cvxrelu/masks/bit_product.hpp"

namespace cvxrelu {

void transpose_bits(BitRows bits, Index first, Index last, std::uint8_t* out) {
  const Index out_bytes = (bits.rows + 7) / 8;
  for (Index group = 0; group < out_bytes; ++group) {
    const Index rows = std::min<Index>(8, bits.rows - 8 * group);
    for (Index q = first; q < last; ++q) {
      std::uint64_t x = 0;
      for (Index a = 0; a < rows; ++a)
        x |= static_cast<std::uint64_t>(bits.bytes[(8 * group + a) * bits.stride + q]) << (8 * a);
      // An 8 x 8 transpose by three swaps of sub-blocks (Warren, Hacker's Delight, 7-3).
      std::uint64_t t = (x ^ (x >> 7)) & 0x00AA00AA00AA00AAull;
      x ^= t ^ (t << 7);
      t = (x ^ (x >> 14)) & 0x0000CCCC0000CCCCull;
      x ^= t ^ (t << 14);
      t = (x ^ (x >> 28)) & 0x00000000F0F0F0F0ull;
      x ^= t ^ (t << 28);
      for (Index b = 0; b < 8; ++b) out[(8 * q + b) * out_bytes + group] = static_cast<std::uint8_t>(x >> (8 * b));
    }
  }
}

}  // namespace cvxrelu
