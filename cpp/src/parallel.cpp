#include "cvxrelu/parallel.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <system_error>
#include <thread>
#ifndef _WIN32
#include <unistd.h>
#endif

namespace cvxrelu {

namespace {

// How long a thread looks for what it waits for before it sleeps: longer than the serial parts between two loops of
// a solver, shorter than a scheduler's slice.
constexpr std::chrono::microseconds kPatience(100);

int process_id() {
#ifdef _WIN32
  return 0;  // processes do not fork
#else
  return static_cast<int>(getpid());
#endif
}

template <class Condition>
bool spin_until(Condition&& condition) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  do {
    for (int i = 0; i < 32; ++i) {
      if (condition()) return true;
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
  } while (std::chrono::steady_clock::now() < end);
  return condition();
}

struct Job {
  Index parts;
  int threads;
  void (*task)(void*, Index, int);
  void* context;
  std::atomic<Index> next{0};
  int joined = 1;               // threads so far; under the crew's mutex
  std::atomic<int> helping{0};  // helpers that are inside

  void work(int thread) {
    for (Index part; (part = next.fetch_add(1, std::memory_order_relaxed)) < parts;) task(context, part, thread);
  }
};

class Crew {
 public:
  const int process = process_id();

  /// Returns false, with nothing done, where another job has the crew.
  bool run(Job& job) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (job_) return false;
      job_ = &job;
      for (; size_ < job.threads - 1; ++size_) {
        try {
          std::thread([this] { help(); }).detach();
        } catch (const std::system_error&) {  // no more threads: those that there are, or the caller alone
          break;
        }
      }
      posted_.fetch_add(1, std::memory_order_release);
      if (sleeping_ > 0) wake_.notify_all();
    }
    job.work(0);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      job_ = nullptr;  // whoever has not joined stays out
    }
    const auto done = [&] { return job.helping.load(std::memory_order_acquire) == 0; };
    if (!spin_until(done)) {
      std::unique_lock<std::mutex> lock(mutex_);
      left_.wait(lock, done);
    }
    return true;
  }

 private:
  void help() {
    for (unsigned seen = 0;;) {
      const auto posted = [&] { return posted_.load(std::memory_order_acquire) != seen; };
      const bool awake = spin_until(posted);
      std::unique_lock<std::mutex> lock(mutex_);
      if (!awake) {
        ++sleeping_;
        wake_.wait(lock, posted);
        --sleeping_;
      }
      seen = posted_.load(std::memory_order_relaxed);
      Job* const job = job_;
      if (!job || job->joined == job->threads) continue;
      const int thread = job->joined++;
      job->helping.fetch_add(1, std::memory_order_relaxed);
      lock.unlock();
      job->work(thread);
      if (job->helping.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        // The job may be gone by now. The lock keeps the notice from falling between its caller's check and sleep.
        lock.lock();
        left_.notify_all();
      }
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_, left_;
  Job* job_ = nullptr;
  int size_ = 0;      // helpers
  int sleeping_ = 0;  // of which asleep
  std::atomic<unsigned> posted_{0};
};

// Never destroyed: helpers wait in it until the process ends. A forked child has its parent's memory but not its
// threads, and leaves the parent's crew alone.
Crew& crew() {
  static std::atomic<Crew*> current{nullptr};
  Crew* found = current.load(std::memory_order_acquire);
  if (found && found->process == process_id()) return *found;
  Crew* const fresh = new Crew;
  if (current.compare_exchange_strong(found, fresh)) return *fresh;
  delete fresh;
  return *found;
}

}  // namespace

void detail::run_parts(Index parts, int threads, void (*task)(void*, Index, int), void* context) {
  Job job{parts, threads, task, context};
  if (threads <= 1 || parts <= 1 || !crew().run(job)) job.work(0);
}

}  // namespace cvxrelu
