// Sorting of numbers that are spread evenly, at best: into as many buckets as numbers, by their leading bits. Linear
// time then, O(n log n) at worst.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace cvxrelu {

class SpreadSort {
 public:
  /// Numbers below 2^63.
  void sort(std::vector<std::uint64_t>& numbers) {
    const std::size_t n = numbers.size();
    int bits = 1;
    while (bits < kMostBits && (std::size_t{1} << bits) < n) ++bits;
    const int shift = 63 - bits;
    ends_.assign(std::size_t{1} << bits, 0);
    for (const std::uint64_t x : numbers) ++ends_[x >> shift];
    std::uint32_t sum = 0, largest = 0;
    for (std::uint32_t& end : ends_) {
      const std::uint32_t count = end;
      largest = std::max(largest, count);
      end = sum;
      sum += count;
    }
    sorted_.resize(n);
    for (const std::uint64_t x : numbers) sorted_[ends_[x >> shift]++] = x;
    numbers.swap(sorted_);
    if (largest > kFewNumbers) {
      std::uint32_t begin = 0;
      for (const std::uint32_t end : ends_) {
        if (end - begin > kFewNumbers) std::sort(numbers.begin() + begin, numbers.begin() + end);
        begin = end;
      }
    }
    for (std::size_t i = 1; i < n; ++i) {
      const std::uint64_t x = numbers[i];
      std::size_t to = i;
      for (; to > 0 && numbers[to - 1] > x; --to) numbers[to] = numbers[to - 1];
      numbers[to] = x;
    }
  }

 private:
  static constexpr int kMostBits = 14;
  static constexpr std::uint32_t kFewNumbers = 24;
  std::vector<std::uint32_t> ends_;
  std::vector<std::uint64_t> sorted_;
};

}  // namespace cvxrelu
