#!/bin/bash
# neural-tangents 0.6.5 with jax 0.4.38 in double precision: the kernel of a sample with itself has half of the digits.
# Behaviour: the NTK of two layers at (x, x) is |x|^2 / d exactly; kernel_fn(X, None, "ntk") is off by 3e-9 on its diagonal,
# relative to |x| |z| / d, and by 3e-16 elsewhere.
# Expected: full accuracy where the angle is 0, which is known in advance for a kernel of X with itself.
# Why it matters: sqrt(1 - cos^2) at cos = 1 minus an ulp. A regularisation below 1e-8, tests of interpolation, and comparisons
# with another implementation meet it first on the diagonal.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check neural-tangents==0.6.5 jax==0.4.38 jaxlib==0.4.38 \
  tensorflow==2.21.0 tf2jax==0.3.7 frozendict==2.5.1 numpy==2.4.6 scipy==1.17.1 # TensorFlow: it is imported
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys
import jax

jax.config.update("jax_enable_x64", True)
import numpy as np
from neural_tangents import stax

d = 3
X = np.random.default_rng(0).standard_normal((12, d))
found = np.asarray(stax.serial(stax.Dense(1), stax.Relu(), stax.Dense(1))[2](X, None, "ntk"))
# The closed form, with the angle from arctan2, which keeps all digits at 0.
norms = np.linalg.norm(X, axis=1)
a, b = norms[None, :, None] * X[:, None], norms[:, None, None] * X[None]
t = 2 * np.arctan2(np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1))
right = (np.outer(norms, norms) * (np.sin(t) + (np.pi - t) * np.cos(t)) + X @ X.T * (np.pi - t)) / (2 * np.pi * d)
assert abs(np.diag(right) * d / norms**2 - 1).max() < 1e-15
errors = abs(found - right) / (np.outer(norms, norms) / d)
diagonal, rest = np.diag(errors).max(), errors[~np.eye(len(X), dtype=bool)].max()
print(f"largest error relative to |x| |z| / d: {diagonal:.1e} on the diagonal, {rest:.1e} elsewhere")
sys.exit(not (found.dtype == np.float64 and diagonal > 1e-10 and rest < 1e-13))
PYTHON
