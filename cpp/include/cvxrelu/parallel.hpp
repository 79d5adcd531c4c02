// Loops on several threads. Parts of a loop are handed out one at a time, to the caller and to a crew of helpers that
// sleep in between: the caller waits only for parts that a helper has begun, so that on a crowded machine a helper
// that gets no processor costs nothing (OpenMP's regions end with all of their threads, or with none). A forked child
// starts a crew of its own.
//
// Work is cut by the number of threads that was asked for, whoever runs it: results that are reduced part by part are
// the same bits for the same number of threads. OpenMP is asked for the default number alone.
#pragma once

#include <algorithm>
#include <exception>
#include <mutex>

#include "cvxrelu/types.hpp"
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

namespace detail {

/// Calls task(context, part, thread) for every part in [0, parts), thread < threads and 0 on the caller; returns when
/// all are done. Alone where another thread has the crew, or within one of its tasks. `task` must not throw.
void run_parts(Index parts, int threads, void (*task)(void*, Index, int), void* context);

template <class F>
void run_parts(Index parts, int threads, F&& f) {
  ExceptionKeeper keeper;
  const auto guarded = [&](Index part, int thread) { keeper.run([&] { f(part, thread); }); };
  using Guarded = decltype(guarded);
  run_parts(
      parts, threads,
      [](void* context, Index part, int thread) { (*static_cast<const Guarded*>(context))(part, thread); },
      const_cast<void*>(static_cast<const void*>(&guarded)));
  keeper.rethrow();
}

}  // namespace detail

/// Calls f(part, begin, end) for `parts` contiguous ranges of [0, size), one thread each; starts are
/// multiples of `grain`. Runs on the caller's thread when parts is 1.
template <class F>
void parallel_ranges(Index size, int parts, Index grain, F&& f) {
  if (parts <= 1) {
    f(0, Index(0), size);
    return;
  }
  const Index blocks = (size + grain - 1) / grain;
  detail::run_parts(parts, parts, [&](Index part, int) {
    const Index begin = blocks * part / parts * grain;
    const Index end = std::min(size, blocks * (part + 1) / parts * grain);
    if (begin < end || part == 0) f(static_cast<int>(part), begin, end);
  });
}

/// Calls f(i, thread) for every i in [0, size), handed out one at a time: for unequal pieces of work.
template <class F>
void parallel_tasks(Index size, int threads, F&& f) {
  if (threads <= 1) {
    for (Index i = 0; i < size; ++i) f(i, 0);
    return;
  }
  detail::run_parts(size, threads, f);
}

}  // namespace cvxrelu
