// Whitney numbers of a central arrangement with a group of symmetries, from the orbits of its flats.
//
// For a flat Y and one of its rows a, the flats X with X + a = Y are Y itself and the flats covered by Y without a, so
// that mu(Y) = -sum mu(X) over these (Weisner 1935). The mean over all rows of Y is
//   |mu(Y)| = sum over X covered by Y of (1 - |X| / |Y|) |mu(X)|,  |.| of flats their numbers of rows,
// in which no order of the rows is left. So a symmetry g has no more to do than map covers to covers, and
//   t(O) = sum over flats Y in an orbit O of |mu(Y)| = sum over orbits P of t(P) sum of 1 - |X| / |Y|,
// over those flats Y in O that cover one X of P. From rank to rank, one flat of each orbit is enough, and its weight
// t(O): neither the orbits' sizes nor the stabilizers are needed. The flats of rank r - 1 are not even kept. Whitney
// numbers are w_k = sum of t(O), and the regions their sum (Zaslavsky 1975).
//
// Flats of one orbit are recognised by an image that is the largest in some order of the images under the group
// (Linton, Finding the smallest image of a set, 2004), found along a chain of stabilizers. Where too many images are
// equally good, not all are followed; then an orbit may be seen in several parts, which costs time, and nothing else:
// what is taken for one orbit is one.
//
// Time O(n r^2) for each orbit of flats of rank up to r - 2, and for each of their covers some hundred images of it.
// Memory: two ranks of orbits.
#pragma once

#include <unordered_map>
#include <vector>

#include "cvxrelu/arrangement/rows.hpp"
#include "cvxrelu/base/monitor.hpp"

namespace cvxrelu {

/// One of a chain of stabilizers: what a group does to a point, and the points that those who fix it all fix.
struct StabilizerLevel {
  std::vector<std::vector<int>> images;  // permutations that take the rows of an orbit, one each, to the same row
  std::vector<Word> fixed;               // rows that no later level moves
};

class FlatOrbits {
 public:
  using Weight = unsigned __int128;  // up to n times a Whitney number

  /// The rows outlive this. Any elements of one group of symmetries make a chain that gives right numbers.
  FlatOrbits(const ArrangementRows& rows, std::vector<StabilizerLevel> chain);

  bool finished() const { return rank_ + 1 >= static_cast<std::size_t>(rows_.rank); }
  /// Rank of the flats whose covers are looked for, how many orbits of them there are, and how many are done.
  std::size_t rank() const { return rank_; }
  std::size_t orbits() const { return current_.size(); }
  std::size_t done() const { return done_; }
  /// Whitney numbers of all ranks, without their signs, when it has finished.
  std::vector<Weight> whitney_numbers() const;
  /// Looks for the covers of the next flats, at most that many, of one rank.
  void advance(std::size_t most, int threads, Monitor& monitor);

 private:
  using Mask = std::vector<Word>;
  struct Hash {
    std::size_t operator()(const Mask& mask) const;
  };
  struct Orbit {
    Mask flat;
    std::vector<int> basis;
    Weight weight;  // t(O); while it is summed up, |Y| t(O)
  };
  struct Cover {
    Mask flat, image;
    int row;  // one that is not in the flat below
    Index more, size;
  };
  class Worker;

  void finish_rank();

  const ArrangementRows& rows_;
  std::vector<StabilizerLevel> chain_;
  std::size_t rank_ = 0, done_ = 0;
  std::vector<Orbit> current_, next_;
  std::unordered_map<Mask, std::size_t, Hash> known_;  // of the next rank, by image
  std::vector<Weight> by_size_;                        // of the last rank: |Y| |mu(Y)|, by |Y|
  std::vector<Weight> numbers_;
};

}  // namespace cvxrelu
