#include "cvxrelu/exact/exact_minors.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "cvxrelu/exact/prime_field.hpp"

namespace cvxrelu {

namespace {

using U64 = PrimeField::U64;
using U128 = PrimeField::U128;
using Field = PrimeField;

/// Deterministic Miller-Rabin below 2^64 with the bases of Sinclair.
bool is_prime(U64 p) {
  for (U64 q : {3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37}) {
    if (p % q == 0) return p == q;
  }
  const Field field(p);
  const U64 one = field.enter(1), minus_one = field.negate(one);
  int twos = 0;
  U64 odd = p - 1;
  for (; odd % 2 == 0; odd /= 2) ++twos;
  for (U64 base : {2ull, 325ull, 9375ull, 28178ull, 450775ull, 9780504ull, 1795265022ull}) {
    U64 x = field.power(field.enter(base), odd);
    if (x == one || x == minus_one || x == 0) continue;
    bool composite = true;
    for (int k = 1; k < twos && composite; ++k) {
      x = field.multiply(x, x);
      composite = x != minus_one;
    }
    if (composite) return false;
  }
  return true;
}

constexpr double kPrimeBits = 61.9;  // fewer than 2^55 steps below 2^62 are ever taken

/// Row echelon form in place, without divisions, which take longer than all the rest; returns the rank, and the
/// determinant of a square matrix.
Index eliminate(const Field& field, U64* a, Index rows, Index columns, U64* determinant) {
  Index rank = 0;
  bool odd = false;
  U64 product = field.enter(1), scale = product;
  for (Index c = 0; c < columns && rank < rows; ++c) {
    Index pivot = rank;
    while (pivot < rows && a[pivot * columns + c] == 0) ++pivot;
    if (pivot == rows) {
      if (determinant != nullptr) {
        *determinant = 0;
        return rank;
      }
      continue;
    }
    U64* top = a + rank * columns;
    if (pivot != rank) {
      std::swap_ranges(top, top + columns, a + pivot * columns);
      odd = !odd;
    }
    if (determinant != nullptr) product = field.multiply(product, top[c]);
    for (Index r = rank + 1; r < rows; ++r) {
      U64* row = a + r * columns;
      const U64 factor = row[c];
      if (factor == 0) continue;
      for (Index k = c + 1; k < columns; ++k) {
        row[k] = field.subtract(field.multiply(top[c], row[k]), field.multiply(factor, top[k]));
      }
      if (determinant != nullptr) scale = field.multiply(scale, top[c]);
    }
    ++rank;
  }
  if (determinant != nullptr) {
    product = field.multiply(product, field.invert(scale));
    *determinant = odd ? field.negate(product) : product;
  }
  return rank;
}

}  // namespace

ExactMinors::ExactMinors(const RowMatrixView& X, const std::vector<int>& column_exponent, const RowMatrixView& more)
    : n_rows_(X.rows() + more.rows()),
      n_columns_(static_cast<Index>(column_exponent.size())),
      bits_(static_cast<std::size_t>(n_rows_)) {
  std::vector<Term> terms;
  for (Index j = 0; j < n_rows_; ++j) {
    const std::size_t first = terms.size();
    for (Index c = 0; c < (j < X.rows() ? X.cols() : more.cols()); ++c) {
      const Index k = c % n_columns_;
      int e = 0;
      const double entry = j < X.rows() ? X(j, c) : more(j - X.rows(), c);
      const auto m = static_cast<std::int64_t>(std::ldexp(std::frexp(entry, &e), 53));
      if (m == 0) continue;
      const int zeros = __builtin_ctzll(static_cast<U64>(m));
      e -= j < X.rows() ? column_exponent[static_cast<std::size_t>(k)] : 0;
      terms.push_back({j * n_columns_ + k, m / (std::int64_t{1} << zeros), e - 53 + zeros, e});
    }
    if (first == terms.size()) continue;
    int lowest = std::numeric_limits<int>::max(), highest = std::numeric_limits<int>::min();
    for (std::size_t t = first; t < terms.size(); ++t) {
      lowest = std::min(lowest, terms[t].exponent);
      highest = std::max(highest, terms[t].end);
    }
    for (std::size_t t = first; t < terms.size(); ++t) terms[t].exponent -= lowest;
    bits_[static_cast<std::size_t>(j)] = highest - lowest + 0.5 * std::log2(static_cast<double>(n_columns_));
  }
  choose_primes();
  take_residues(terms);
}

void ExactMinors::choose_primes() {
  std::vector<double> sorted = bits_;
  std::sort(sorted.rbegin(), sorted.rend());
  double most = 0;
  for (Index k = 0; k < std::min(n_rows_, n_columns_); ++k) most += sorted[static_cast<std::size_t>(k)];
  for (U64 p = (U64{1} << 62) - 1; primes_.size() < primes_for(most); p -= 2) {
    if (is_prime(p)) primes_.push_back(p);
  }
}

void ExactMinors::take_residues(const std::vector<Term>& terms) {
  radix_.resize(primes_.size());
  residues_.resize(primes_.size());
  for (std::size_t i = 0; i < primes_.size(); ++i) {
    const Field& field = fields_.emplace_back(primes_[i]);
    U64 weight = field.enter(1);
    for (std::size_t k = 0; k < i; ++k) {
      radix_[i].push_back(weight);
      weight = field.multiply(weight, field.enter(primes_[k]));
    }
    radix_[i].push_back(field.invert(weight));
    const U64 two = field.enter(2);
    residues_[i].assign(static_cast<std::size_t>(n_rows_ * n_columns_), 0);
    for (const Term& term : terms) {
      const U64 a = field.enter(static_cast<U64>(std::abs(term.mantissa)));
      const auto shift = static_cast<U64>(term.exponent);
      const U64 value = field.multiply(a, shift < 62 ? field.enter(U64{1} << shift) : field.power(two, shift));
      U64& residue = residues_[i][static_cast<std::size_t>(term.at)];
      residue = field.subtract(residue, term.mantissa < 0 ? value : field.negate(value));
    }
  }
}

std::size_t ExactMinors::primes_for(double bits) const {
  return static_cast<std::size_t>(std::ceil((bits + 2) / kPrimeBits));
}

int ExactMinors::determinant_sign(const std::vector<int>& rows) const {
  const std::size_t count = primes_for(bits(rows));
  std::array<U64, kMostColumns * kMostColumns> a;
  std::vector<U64> digits(count);  // mixed-radix digits of the residue in [0, product of primes)
  bool zero = true;
  for (std::size_t i = 0; i < count; ++i) {
    const Field& field = fields_[i];
    gather(i, rows, a.data());
    U64 determinant = 0;
    eliminate(field, a.data(), n_columns_, n_columns_, &determinant);
    zero = zero && determinant == 0;
    U64 value = 0;
    for (std::size_t k = 0; k < i; ++k) {
      const U64 digit = digits[k] < primes_[i] ? digits[k] : digits[k] - primes_[i];
      value = field.subtract(value, field.multiply(digit, radix_[i][k]));
    }
    value = field.subtract(value, field.negate(field.leave(determinant)));
    digits[i] = field.multiply(value, radix_[i][i]);
  }
  if (zero) return 0;
  // The digits of P - 1 - x are p_i - 1 - d_i; whichever of x and P - x is the smaller is the absolute value.
  for (std::size_t i = count; i-- > 0;) {
    const U64 opposite = primes_[i] - 1 - digits[i];
    if (digits[i] != opposite) return digits[i] < opposite ? 1 : -1;
  }
  return 0;  // unreachable: the bound leaves two bits between |x| and P / 2
}

bool ExactMinors::independent(const std::vector<int>& rows) const {
  const auto k = static_cast<Index>(rows.size());
  if (k > n_columns_) return false;
  std::array<U64, kMostColumns * kMostColumns> a;
  for (std::size_t i = 0; i < primes_for(bits(rows)); ++i) {
    gather(i, rows, a.data());
    if (eliminate(fields_[i], a.data(), k, n_columns_, nullptr) == k) return true;
  }
  return false;
}

double ExactMinors::bits(const std::vector<int>& rows) const {
  double sum = 0;
  for (const int row : rows) sum += bits_[static_cast<std::size_t>(row)];
  return sum;
}

void ExactMinors::gather(std::size_t prime, const std::vector<int>& rows, U64* a) const {
  for (const int row : rows) a = std::copy_n(residues(prime, row), n_columns_, a);
}

std::vector<int> ExactMinors::basis_columns(const std::vector<int>& order) const {
  std::vector<int> best;
  const Index most = std::min(n_rows_, n_columns_);
  for (std::size_t i = 0; i < primes_.size() && static_cast<Index>(best.size()) < most; ++i) {
    // Columns become rows, so that their leading independent ones are found by inserting one after the other.
    const Field& field = fields_[i];
    std::vector<std::vector<U64>> echelon;
    std::vector<Index> pivots;
    std::vector<int> chosen;
    for (const int column : order) {
      std::vector<U64> v(static_cast<std::size_t>(n_rows_));
      for (Index j = 0; j < n_rows_; ++j) v[static_cast<std::size_t>(j)] = residues(i, j)[column];
      for (std::size_t e = 0; e < echelon.size(); ++e) {
        const U64 factor = v[static_cast<std::size_t>(pivots[e])];
        if (factor == 0) continue;
        for (std::size_t j = 0; j < v.size(); ++j) v[j] = field.subtract(v[j], field.multiply(factor, echelon[e][j]));
      }
      const auto nonzero = std::find_if(v.begin(), v.end(), [](U64 x) { return x != 0; });
      if (nonzero == v.end()) continue;
      const U64 inverse = field.invert(*nonzero);
      pivots.push_back(nonzero - v.begin());
      for (U64& x : v) x = field.multiply(x, inverse);
      echelon.push_back(std::move(v));
      chosen.push_back(column);
    }
    if (chosen.size() > best.size()) best = std::move(chosen);
  }
  return best;
}

}  // namespace cvxrelu
