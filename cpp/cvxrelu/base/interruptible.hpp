// Parallel work that an interrupt stops.
#pragma once

#include <atomic>

#include "cvxrelu/base/monitor.hpp"
#include "cvxrelu/base/parallel.hpp"
#include "cvxrelu/base/types.hpp"

namespace cvxrelu::detail {

/// One thread where waking others would cost more than it saves; `work` is in multiply-adds.
inline int worthwhile_threads(double work, int threads) { return work < 4e6 ? 1 : threads; }

/// Calls f(i, thread) for i in [0, size) as parallel_tasks does, and stops all threads when the user interrupts.
template <class F>
void interruptible_tasks(Index size, int threads, Monitor& monitor, F&& f) {
  std::atomic<bool> stop{false};
  parallel_tasks(size, threads, [&](Index i, int thread) {
    if (stop.load(std::memory_order_relaxed)) return;
    f(i, thread);
    if (thread != 0) return;
    try {
      monitor.poll();
    } catch (...) {
      stop = true;
      throw;
    }
  });
}

}  // namespace cvxrelu::detail
