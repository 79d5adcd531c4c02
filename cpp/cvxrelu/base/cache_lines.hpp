// Memory in whole cache lines. What one thread writes all the time must not lie on a line with what another one does:
// each would wait for the line to come back from the other's core.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace cvxrelu {

constexpr std::size_t kLineBytes = 64;

template <class T>
struct LineAllocator {
  using value_type = T;
  LineAllocator() = default;
  template <class U>
  LineAllocator(const LineAllocator<U>&) {}
  T* allocate(std::size_t size) {
    const std::size_t bytes = (size * sizeof(T) + kLineBytes - 1) / kLineBytes * kLineBytes;
    return static_cast<T*>(::operator new(bytes, std::align_val_t(kLineBytes)));
  }
  void deallocate(T* p, std::size_t) { ::operator delete(p, std::align_val_t(kLineBytes)); }
  friend bool operator==(LineAllocator, LineAllocator) { return true; }
  friend bool operator!=(LineAllocator, LineAllocator) { return false; }
};

template <class T>
using LineVector = std::vector<T, LineAllocator<T>>;

}  // namespace cvxrelu
