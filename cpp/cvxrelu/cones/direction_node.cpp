#include "cvxrelu/cones/direction_node.hpp"

#include <cstring>
#include <limits>

namespace cvxrelu {

namespace {

constexpr int kLow = 3, kLanes = 1 << kLow;  // axes, vertices that are one vector
constexpr int kMiddle = 3;                   // axes whose vertices are a block of vectors

void spread(double* values, int count, double half) {
  for (int i = 0; i < count; ++i) {
    values[count + i] = values[i] + half;
    values[i] -= half;
  }
}

// A linear function at all vertices of a box, as sums high[i] + low[j].
struct VertexTable {
  double low[kLanes], high[1 << (kMostDirections - kLow)];
  int size;  // of high

  /// `half`: change from the centre to a vertex along each axis.
  VertexTable(double centre, const double* half, int n_axes) : size(1 << (n_axes - kLow)) {
    low[0] = 0;
    high[0] = centre;
    for (int b = 0; b < kLow; ++b) spread(low, 1 << b, half[b]);
    for (int b = kLow; b < n_axes; ++b) spread(high, 1 << (b - kLow), half[b]);
  }
};

/// out[vertex] = change(out[vertex], value of the linear function there).
template <class F>
void update(const VertexTable& table, double* out, F&& change) {
  for (int h = 0; h < table.size; ++h)
    for (int i = 0; i < kLanes; ++i) out[h * kLanes + i] = change(out[h * kLanes + i], table.high[h] + table.low[i]);
}

typedef double Lanes __attribute__((vector_size(kLanes * sizeof(double))));
typedef std::int64_t LaneBits __attribute__((vector_size(kLanes * sizeof(double))));

// The side of each vertex along the axes of a vector or block.
constexpr Lanes kSides[kLow] = {
    {-1, 1, -1, 1, -1, 1, -1, 1}, {-1, -1, 1, 1, -1, -1, 1, 1}, {-1, -1, -1, -1, 1, 1, 1, 1}};

Lanes absolute(Lanes z) { return (Lanes)((LaneBits)z & std::numeric_limits<std::int64_t>::max()); }

// Entries of two vectors, those of the second counted on.
Lanes shuffled(Lanes a, Lanes b, LaneBits index) {
#ifdef __clang__  // which shuffles by constants only
  Lanes result;
  for (int k = 0; k < kLanes; ++k) result[k] = index[k] < kLanes ? a[index[k]] : b[index[k] - kLanes];
  return result;
#else
  return __builtin_shuffle(a, b, index);
#endif
}

// Copies the vertices on one side of the axis `bit`, `size` of them.
void take_side(const double* from, std::size_t size, int bit, int side, double* to) {
  const std::size_t run = std::size_t{1} << bit, offset = side > 0 ? run : 0;
  if (bit >= kLow) {
    for (std::size_t i = 0; i < size; i += run) std::memcpy(to + i, from + 2 * i + offset, run * sizeof(double));
    return;
  }
  LaneBits chosen;
  for (std::size_t i = 0; i < kLanes; ++i) chosen[i] = static_cast<std::int64_t>(i / run * 2 * run + i % run + offset);
  for (std::size_t i = 0; i < size; i += kLanes) {
    Lanes pair[2];
    std::memcpy(pair, from + 2 * i, sizeof pair);
    const Lanes side_of_pair = shuffled(pair[0], pair[1], chosen);
    std::memcpy(to + i, &side_of_pair, sizeof side_of_pair);
  }
}

// out[vertex] = sum of |z| over the rows, z = low + middle + high of the vertex.
template <int kVectors>
void sum_absolute(const LineVector<VertexParts>& parts, const std::vector<double>& high, int n_high, double* out) {
  for (int h = 0; h < n_high; ++h) {
    Lanes sum[kVectors] = {};
    for (std::size_t t = 0; t < parts.size(); ++t) {
      Lanes low;
      std::memcpy(&low, parts[t].low, sizeof low);
      low += high[t * static_cast<std::size_t>(n_high) + static_cast<std::size_t>(h)];
      for (int i = 0; i < kVectors; ++i) sum[i] += absolute(low + parts[t].middle[i]);
    }
    std::memcpy(out + h * kVectors * kLanes, sum, sizeof sum);
  }
}

}  // namespace

template <int P>
LaneRows<P>::LaneRows(const DirectionRows& from)
    : dimension(static_cast<int>(from.dimension())),
      row(static_cast<std::size_t>(from.size()), Direction<P>::Zero()),
      square(row.size()),
      positive(from.positive),
      linear(Direction<P>::Zero()),
      error(from.error) {
  for (std::size_t j = 0; j < row.size(); ++j) {
    row[j].head(dimension) = from.rows.row(static_cast<Index>(j)).transpose();
    square[j] = row[j].square().sum();
  }
  linear.head(dimension) = from.linear;
}

template <int P>
void DirectionNode<P>::place(const LaneRows<P>& rows, const Row& row, bool is_convex) {
  if (row.middle <= -row.range) return;
  if (row.middle >= row.range)
    (is_convex ? convex_sum : concave_sum) += rows.row[static_cast<std::size_t>(row.id)];
  else
    (is_convex ? convex : concave).push_back(row);
}

template <int P>
void DirectionNode<P>::load(const LaneRows<P>& rows, const DirectionBox& box) {
  face = box.face;
  sign = box.sign;
  n_axes = rows.axes();
  for (int k = 0, b = 0; b < n_axes; ++k)
    if (k != face) axis[b++] = k;
  middle.setZero();
  width.setZero();
  for (int k = 0; k < rows.dimension; ++k) {
    middle[k] = 0.5 * (box.lo[k] + box.hi[k]);
    width[k] = 0.5 * (box.hi[k] - box.lo[k]);
  }
  convex.clear();
  concave.clear();
  convex_sum.setZero();
  concave_sum = -sign * rows.linear;
  for (std::size_t j = 0; j < rows.row.size(); ++j) {
    const double z = (rows.row[j] * middle).sum(), range = (rows.row[j].abs() * width).sum();
    place(rows, {static_cast<int>(j), z, range, range > 0 ? 0.5 * (z + range) / range : 0},
          (rows.positive[j] != 0) == (sign > 0));
  }
  at.resize(std::size_t{1} << n_axes);
  between.resize(at.size() / 2);
  for (const int side : {-1, 1}) {
    sum_slice(rows, axis[0], side);
    for (std::size_t i = 0; i < between.size(); ++i) at[2 * i + (side > 0)] = between[i];
  }
}

template <int P>
void DirectionNode<P>::halfway(const LaneRows<P>& rows, int k) {
  sum_slice(rows, k, 0);
}

// The convex sum where w_k = middle_k + side width_k, as half of sum_j z_j + |z_j|, of which the first is linear. The
// vertices come in blocks whose sums stay in registers while all rows pass.
template <int P>
void DirectionNode<P>::sum_slice(const LaneRows<P>& rows, int k, int side) {
  int others[Frame::kMostAxes];
  int m = 0;
  for (int b = 0; b < n_axes; ++b)
    if (axis[b] != k) others[m++] = axis[b];
  double widths[Frame::kMostAxes];
  for (int b = 0; b < m; ++b) widths[b] = width[others[b]];
  const double across = side * width[k];
  const int middles = std::min(m - kLow, kMiddle), n_high = 1 << (m - kLow - middles);
  parts_.resize(convex.size());
  high_.resize(convex.size() * static_cast<std::size_t>(n_high));
  Direction<P> linear = 2 * convex_sum;
  double start = 2 * (convex_sum * middle).sum();
  for (std::size_t t = 0; t < convex.size(); ++t) {
    const Direction<P>& row = rows.row[static_cast<std::size_t>(convex[t].id)];
    linear += row;
    start += convex[t].middle;
    const auto half = [&](int b) { return row[others[b]] * widths[b]; };
    Lanes low = kSides[0] * half(0) + kSides[1] * half(1) + kSides[2] * half(2);
    low += convex[t].middle + row[k] * across;
    std::memcpy(parts_[t].low, &low, sizeof low);
    Lanes block = {};
    for (int b = 0; b < middles; ++b) block += kSides[b] * half(kLow + b);
    std::memcpy(parts_[t].middle, &block, sizeof block);
    double* top = &high_[t * static_cast<std::size_t>(n_high)];
    top[0] = 0;
    for (int b = kLow + middles; b < m; ++b) spread(top, 1 << (b - kLow - middles), half(b));
  }
  switch (middles) {
    case 0:
      sum_absolute<1>(parts_, high_, n_high, between.data());
      break;
    case 1:
      sum_absolute<2>(parts_, high_, n_high, between.data());
      break;
    case 2:
      sum_absolute<4>(parts_, high_, n_high, between.data());
      break;
    default:
      sum_absolute<8>(parts_, high_, n_high, between.data());
  }
  double half[Frame::kMostAxes];
  for (int b = 0; b < m; ++b) half[b] = linear[others[b]] * widths[b];
  update(VertexTable(start + linear[k] * across, half, m), between.data(),
         [](double sum, double z) { return 0.5 * (sum + z); });
}

template <int P>
void DirectionNode<P>::become_half(const LaneRows<P>& rows, const DirectionNode& whole, int k, int side) {
  Frame::operator=(whole);
  width[k] *= 0.5;
  middle[k] += side * width[k];
  convex.clear();
  concave.clear();
  for (const bool is_convex : {true, false})
    for (const Row& row : is_convex ? whole.convex : whole.concave) {
      const double x = rows.row[static_cast<std::size_t>(row.id)][k] * width[k];
      place(rows, {row.id, row.middle + side * x, row.range - std::abs(x), row.slope}, is_convex);
    }
  // The axis comes last, so that either half of the vertices lies together.
  int bit = 0;
  while (whole.axis[bit] != k) ++bit;
  std::copy(whole.axis + bit + 1, whole.axis + n_axes, axis + bit);
  axis[n_axes - 1] = k;
  at.resize(whole.at.size());
  between.resize(whole.between.size());
  const std::size_t half = between.size();
  std::memcpy(&at[side < 0 ? half : 0], whole.between.data(), half * sizeof(double));
  take_side(whole.at.data(), half, bit, side, &at[side < 0 ? 0 : half]);
}

template <int P>
void DirectionNode<P>::become_fixed(const LaneRows<P>& rows, const DirectionNode& whole, std::size_t t, bool on) {
  Frame::operator=(whole);
  convex = whole.convex;
  concave = whole.concave;
  at = whole.at;
  between.resize(at.size() / 2);
  const Row row = convex[t];
  convex.erase(convex.begin() + static_cast<std::ptrdiff_t>(t));
  const Direction<P>& a = rows.row[static_cast<std::size_t>(row.id)];
  double half[Frame::kMostAxes];
  for (int b = 0; b < n_axes; ++b) half[b] = a[axis[b]] * width[axis[b]];
  if (on) convex_sum += a;
  const double keep = on ? -1 : 1;  // (z)_+ - z = (-z)_+
  update(VertexTable(row.middle, half, n_axes), at.data(),
         [&](double sum, double z) { return sum - (keep * z > 0 ? keep * z : 0); });
}

template <int P>
Direction<P> DirectionNode<P>::majorant() const {
  double slope[Frame::kMostAxes];
  alignas(64) double fold[1 << Frame::kMostAxes];
  const int size = 1 << n_axes;
  std::memcpy(fold, at.data(), static_cast<std::size_t>(size) * sizeof(double));
  for (int b = n_axes - 1, half = size / 2; b >= 0; --b, half /= 2) {
    double difference = 0;
    for (int i = 0; i < half; ++i) {
      difference += fold[i + half] - fold[i];
      fold[i] += fold[i + half];
    }
    slope[b] = difference / size;
  }
  const VertexTable line(0, slope, n_axes);
  double most[kLanes];
  std::fill(most, most + kLanes, -std::numeric_limits<double>::infinity());
  for (int h = 0; h < line.size; ++h)
    for (int i = 0; i < kLanes; ++i) {
      const double above = at[static_cast<std::size_t>(h * kLanes + i)] - line.high[h] - line.low[i];
      most[i] = most[i] > above ? most[i] : above;
    }
  Direction<P> form = Direction<P>::Zero();
  for (int b = 0; b < n_axes; ++b)
    if (width[axis[b]] > 0) form[axis[b]] = slope[b] / width[axis[b]];
  form[face] = middle[face] * (*std::max_element(most, most + kLanes) - (form * middle).sum());
  return form;
}

template struct LaneRows<8>;
template struct LaneRows<12>;
template struct DirectionNode<8>;
template struct DirectionNode<12>;

}  // namespace cvxrelu
