// Conditions that a caller must meet, checked in O(1) at the entry of a core function.
#pragma once

#include <stdexcept>
#include <string>

namespace cvxrelu {

inline void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

/// An enumeration would need more cells or bytes than allowed; thrown before anything is allocated.
class ArrangementTooLarge : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace cvxrelu
