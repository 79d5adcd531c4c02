// Conditions that a caller must meet, checked in O(1) at the entry of a core function.
#pragma once

#include <stdexcept>

namespace cvxrelu {

inline void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

}  // namespace cvxrelu
