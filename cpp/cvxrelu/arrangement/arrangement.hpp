// All full-dimensional cells of the central arrangement {x_j.u = 0}: their sign patterns and a point inside each.
//
// Cells come in antipodal pairs and in a fixed order, whatever the number of threads and the pieces they are asked for
// in. In general position there are 2 sum_{k<r} C(n-1, k) of them (Cover 1965, Zaslavsky 1975), r the rank; never more.
// Time and memory: see search.hpp. Nothing is stored but what the caller provides room for.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cvxrelu/arrangement/search.hpp"
#include "cvxrelu/base/monitor.hpp"

namespace cvxrelu {

class Arrangement {
 public:
  /// tol = 0 decides all signs and ranks exactly. Rank 0, where the only cell is the whole space, yields no cells. With
  /// more parts than one X has as many times more columns (rows.hpp). Where `affine`, X has the rows (a_j, -b_j), and
  /// at last (0, 1), of the hyperplanes a_j.u = b_j: cells are their regions then, patterns are without the last row,
  /// and gates are points u.
  Arrangement(const RowMatrixView& X, double tol, bool check_gates, int parts = 1, bool affine = false);
  /// Only one of several parts of the search, before the first cell is asked for. One after the other they have all
  /// cells, each once, in the order of the whole. They are of similar size where the rows are in general position.
  void restrict(Index part, Index parts);
  /// The arrangement that `whole` cuts out of the subspace where some independent rows vanish. Rows that vanish there
  /// have bit 1 in its cells; gates lie near the subspace and are not checked.
  Arrangement(const Arrangement& whole, std::vector<int> contracted);
  ~Arrangement();

  int rank() const { return rows_->rank - static_cast<int>(settings_.contracted.size()); }
  /// Words of a pattern, and entries of a gate.
  Index pattern_words() const;
  Index gate_size() const { return rows_->n_features - settings_.affine; }
  /// Cells that are found at once: a cell and its antipode, or a region.
  int cells_of_pair() const { return settings_.affine ? 1 : 2; }
  Index n_words() const { return static_cast<Index>(rows_->all.size()); }
  const ArrangementRows& rows() const { return *rows_; }
  int n_hyperplanes() const { return static_cast<int>(candidates_.size()); }
  std::string arithmetic() const;
  const SearchCounts& counts() const { return counts_; }

  /// Room, in cells, that the next call of `fill` needs at most to make progress.
  std::int64_t room() const;
  bool finished() const { return finished_; }
  /// Cells that are left to search for, at most.
  double left() const { return finished_ ? 0 : cells_of_pair() * left_; }
  /// Writes the next cells, as many as surely fit; returns how many. Gates may be null.
  std::int64_t fill(Word* words, double* gates, std::int64_t capacity, int threads, Monitor& monitor);
  /// Counts the next cells, no more than that many.
  std::int64_t count_next(std::int64_t capacity, int threads, Monitor& monitor);
  /// Counts the cells that are left, or stops early, and for good, once there are more than `limit`.
  std::int64_t count(std::int64_t limit, int threads, Monitor& monitor);

 private:
  class ThreadPulse;
  struct Progress;
  struct Worker;

  void start();
  Index part_here() const;
  void advance();
  void step();
  std::int64_t task_bound() const;
  bool take(Worker& worker, Progress& progress);
  std::int64_t run(Word* words, double* gates, std::int64_t capacity, std::int64_t limit, int threads,
                   Monitor& monitor);

  std::shared_ptr<const ArrangementRows> rows_;
  SearchSettings settings_;
  std::vector<int> candidates_;                    // rows that are not parallel to an earlier one
  int prefix_size_ = 0;                            // elements that fix a task
  SearchTask task_;                                // the next one
  std::vector<int> position_;                      // of its elements among the candidates
  std::vector<std::vector<std::int64_t>> bounds_;  // largest number of pairs, by length of position_ and last of it
  double left_ = 0;                                // pairs that are left to search for, at most
  bool finished_ = false;
  bool stopped_ = false;  // within a task, of which nothing is kept
  Index part_ = 0, parts_ = 1;
  double before_ = 0, most_ = 0;  // pairs that the tasks before this one have at most, and that all have
  std::vector<std::unique_ptr<Worker>> workers_;
  SearchCounts counts_;
};

}  // namespace cvxrelu
