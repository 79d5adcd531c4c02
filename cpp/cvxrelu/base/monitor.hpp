// What a long computation tells the outside, and how the outside stops it. Called on the thread that started
// the computation, never inside a parallel region.
#pragma once

#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

struct Progress {
  Index iteration = 0;
  double objective = 0;
  double gap = 0;                // absolute duality gap
  double relative_gap = 0;       // gap over the objective at zero
  Index active = 0;              // non-zero blocks, or items finished so far
  double beta = 0;               // penalty; 0 where there is none to tell
  const Matrix* coef = nullptr;  // blocks at present, as columns, for the time of the call
};

class Monitor {
 public:
  virtual ~Monitor() = default;
  /// Reports progress. Returns false when the computation should stop with its best result so far.
  virtual bool report(const Progress&) { return true; }
  /// Cheap, for inner loops: throws when the user has interrupted. At most some 50 ms of work between two
  /// calls.
  virtual void poll() {}
};

}  // namespace cvxrelu
