#include "cvxrelu/arrangement/remainders.hpp"

#include <algorithm>
#include <random>
#include <stdexcept>

namespace cvxrelu {

namespace {

using U64 = PrimeField::U64;

[[noreturn]] void unlucky() { throw std::runtime_error("an unlucky prime for X: rescale its columns"); }

}  // namespace

Remainders::Remainders(const ArrangementRows& rows)
    : rows_(rows),
      field_(rows.exact->first_prime()),
      n_(static_cast<std::size_t>(rows.n)),
      r_(static_cast<std::size_t>(rows.rank)) {
  levels_.assign(r_, std::vector<U64>(n_ * r_));
  for (std::size_t j = 0; j < n_; ++j) {
    std::copy_n(rows.exact->first_residues(static_cast<Index>(j)), r_, levels_[0].data() + j * r_);
  }
  std::mt19937_64 random(1912);
  for (auto* functional : {&above_, &below_}) {
    for (std::size_t q = 0; q < r_; ++q) functional->push_back(random() % field_.modulus());
  }
}

std::vector<Remainders::Keyed> Remainders::covers(std::size_t level, const std::vector<Word>& flat) const {
  std::vector<Keyed> lines;
  std::vector<U64> numerators, denominators, products = {field_.enter(1)};
  for (std::size_t j = 0; j < n_; ++j) {
    if (((flat[j / 64] | rows_.zero[j / 64]) >> (j % 64)) & 1) continue;
    const U64* x = levels_[level].data() + j * r_;
    lines.push_back({0, static_cast<int>(j)});
    numerators.push_back(apply(above_, x));
    denominators.push_back(apply(below_, x));
    if (denominators.back() == 0) unlucky();
    products.push_back(field_.multiply(products.back(), denominators.back()));
  }
  U64 inverse = field_.invert(products.back());  // of all denominators so far, from the last one down
  for (std::size_t i = lines.size(); i-- > 0;) {
    lines[i].key = field_.multiply(numerators[i], field_.multiply(inverse, products[i]));
    inverse = field_.multiply(inverse, denominators[i]);
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

U64 Remainders::apply(const std::vector<U64>& functional, const U64* x) const {
  U64 sum = 0;
  for (std::size_t q = 0; q < r_; ++q) sum = field_.subtract(sum, field_.multiply(functional[q], x[q]));
  return sum;
}

void Remainders::eliminate(std::size_t level, int row) {
  const auto& from = levels_[level];
  auto& to = levels_[level + 1];
  const U64* top = from.data() + static_cast<std::size_t>(row) * r_;
  const auto pivot = static_cast<std::size_t>(std::find_if(top, top + r_, [](U64 x) { return x != 0; }) - top);
  const U64 inverse = field_.invert(top[pivot]);
  for (std::size_t j = 0; j < n_; ++j) {
    const U64* in = from.data() + j * r_;
    U64* out = to.data() + j * r_;
    const U64 factor = field_.multiply(in[pivot], inverse);
    for (std::size_t q = 0; q < r_; ++q) out[q] = field_.subtract(in[q], field_.multiply(factor, top[q]));
  }
}

void Remainders::check(std::vector<int>& basis, int row) const {
  basis.push_back(row);
  if (rows_.exact->independent(basis)) unlucky();
  basis.pop_back();
}

}  // namespace cvxrelu
