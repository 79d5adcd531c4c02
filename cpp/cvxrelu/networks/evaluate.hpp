// Values of a two-layer network, with gates decided exactly.
#pragma once

#include "cvxrelu/base/monitor.hpp"
#include "cvxrelu/base/types.hpp"

namespace cvxrelu {

/// A network f(x) = sum_j 1[x.g_j >= 0] (x.w1_j) w2_j of m neurons, d inputs and c outputs. Without gates (no rows)
/// each neuron is its own, which makes it a ReLU.
struct NetworkView {
  RowMatrixView W1;     // m x d
  RowMatrixView gates;  // m x d, or no rows
  RowMatrixView w2;     // m x c
  bool bias;            // the last input is 1 for every sample, which then has d - 1 features
};

/// `values(i, :)` = f(z_i) for the rows z_i of Z. Signs of gates are those of the numbers given, a tie is active, and a
/// neuron that is switched off adds nothing, even where its product overflows. The same bits for any number of threads;
/// no memory beside the values.
///
/// The floor are 2 d flops for each sample and neuron, and as many for its gate. Nothing else leaves the registers.
void evaluate_network(const RowMatrixView& Z, const NetworkView& network, RowMatrixOut values, int n_threads,
                      Monitor& monitor);

}  // namespace cvxrelu
