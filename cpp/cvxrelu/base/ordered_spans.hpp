// Results of unknown length that several threads write into one buffer, in the order of their tasks.
//
// A task gets a span of the buffer, as long as its result is at most. When all earlier results are in place, its own is
// moved right behind them. A span begins no earlier than its result can end up: behind everything before it at its
// largest. So results only move towards the front, over nothing that is still needed; and a single thread, whose spans
// begin where the result before ends, moves nothing. The buffer is filled with no more gaps than threads have spans.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <mutex>

namespace cvxrelu {

class OrderedSpans {
 public:
  struct Span {
    std::int64_t begin = 0, length = 0;
    bool done = false;
  };

  explicit OrderedSpans(std::int64_t capacity) : capacity_(capacity) {}
  /// Entries that are in place.
  std::int64_t total() const { return total_; }
  /// Whether no span is out.
  bool idle() const { return spans_.empty(); }

  /// A span of `most`, or of `least` or more where the buffer ends; null when there is none, for good if idle. The
  /// caller may shorten it before anyone else reserves one.
  Span* reserve(std::int64_t least, std::int64_t most) {
    std::int64_t begin = total_;
    for (const Span& span : spans_) begin += span.length;
    const std::int64_t length = std::clamp(capacity_ - begin, least, most);
    for (auto span = spans_.begin(); span != spans_.end();) {
      const std::int64_t end = span->begin + span->length;
      if (begin < end && span->begin < begin + length) {
        begin = end;
        span = spans_.begin();
      } else {
        ++span;
      }
    }
    if (begin > capacity_ - length) return nullptr;
    return &spans_.emplace_back(Span{begin, length, false});
  }

  /// Tells the length of a result, and moves those that are next. The lock is held, but for the time of a move.
  template <class Move>
  void finish(Span& done, std::int64_t length, std::unique_lock<std::mutex>& lock, const Move& move) {
    done.length = length;
    done.done = true;
    if (moving_) return;  // whoever moves looks again afterwards
    moving_ = true;
    while (!spans_.empty() && spans_.front().done) {
      const Span next = spans_.front();
      if (next.begin != total_ && next.length > 0) {
        lock.unlock();
        move(next.begin, total_, next.length);
        lock.lock();
      }
      total_ += next.length;
      spans_.pop_front();
    }
    moving_ = false;
  }

 private:
  std::int64_t capacity_, total_ = 0;
  std::deque<Span> spans_;  // in the order of the tasks
  bool moving_ = false;
};

}  // namespace cvxrelu
