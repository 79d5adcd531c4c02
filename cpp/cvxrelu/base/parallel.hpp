// The only file that knows OpenMP. Work is cut into as many contiguous ranges as there are threads, so
// results that are reduced range by range are the same bits for the same number of threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <vector>

#include "cvxrelu/base/cache_lines.hpp"
#include "cvxrelu/base/types.hpp"
#ifdef _OPENMP
#include <omp.h>
#endif

namespace cvxrelu {

/// Threads that a caller gets who asks for none in particular (OMP_NUM_THREADS, threadpoolctl and loky
/// count).
inline int default_threads() {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

/// Keeps the first exception of a parallel region, since none may cross its border.
class ExceptionKeeper {
 public:
  template <class F>
  void run(F&& f) noexcept {
    try {
      f();
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!first_) first_ = std::current_exception();
    }
  }
  void rethrow() const {
    if (first_) std::rethrow_exception(first_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr first_;
};

/// Calls f(part, begin, end) for `parts` contiguous ranges of [0, size), one thread each; starts are
/// multiples of `grain`. Runs on the caller's thread when parts is 1.
template <class F>
void parallel_ranges(Index size, int parts, Index grain, F&& f) {
  const Index blocks = (size + grain - 1) / grain;
  const auto range = [&](int part) {
    const Index begin = blocks * part / parts * grain;
    const Index end = std::min(size, blocks * (part + 1) / parts * grain);
    if (begin < end || part == 0) f(part, begin, end);
  };
  if (parts <= 1) {
    f(0, Index(0), size);
    return;
  }
#ifdef _OPENMP
  ExceptionKeeper keeper;
#pragma omp parallel for num_threads(parts) schedule(static, 1)
  for (int part = 0; part < parts; ++part) keeper.run([&] { range(part); });
  keeper.rethrow();
#else
  for (int part = 0; part < parts; ++part) range(part);
#endif
}

/// Calls f(i, thread) for every i in [0, size), handed out one at a time: for unequal pieces of work, or cores that are
/// not ours alone. A thread begins with the pieces of its own range, whose data its cache may still hold from the last
/// call, and goes on with what the others have left.
template <class F>
void parallel_tasks(Index size, int threads, F&& f) {
  if (threads <= 1) {
    for (Index i = 0; i < size; ++i) f(i, 0);
    return;
  }
#ifdef _OPENMP
  struct alignas(kLineBytes) Range {
    std::atomic<Index> next;
  };
  std::vector<Range> ranges(static_cast<std::size_t>(threads));
  const auto border = [&](int range) { return size * range / threads; };
  for (int k = 0; k < threads; ++k) ranges[static_cast<std::size_t>(k)].next = border(k);
  ExceptionKeeper keeper;
#pragma omp parallel num_threads(threads)
  {
    const int thread = omp_get_thread_num();
    for (int k = 0; k < threads; ++k) {
      const int range = (thread + k) % threads;
      std::atomic<Index>& next = ranges[static_cast<std::size_t>(range)].next;
      for (Index i; (i = next.fetch_add(1, std::memory_order_relaxed)) < border(range + 1);)
        keeper.run([&] { f(i, thread); });
    }
  }
  keeper.rethrow();
#else
  for (Index i = 0; i < size; ++i) f(i, 0);
#endif
}

}  // namespace cvxrelu
