"""Networks of every kind: ReLU and gated, with and without bias, skip, output bias, several outputs."""

import numpy as np
from cvxrelu import Network


def networks():
    rng = np.random.default_rng(0)
    for gated in (False, True):
        for bias in (False, True):
            for outputs in ((), (3,)):
                shape = (6, 4 + bias)
                gates = rng.standard_normal(shape) if gated else None
                W1, w2 = rng.standard_normal(shape), rng.standard_normal((6, *outputs))
                offset, skip = rng.standard_normal(outputs), rng.standard_normal((4, *outputs))
                yield Network(W1, w2, gates, bias)
                yield Network(W1, w2, gates, bias, output_bias=offset)
                yield Network(W1, w2, gates, bias, output_bias=offset, skip=skip)
                yield Network(W1, w2, gates, bias, skip=skip)
