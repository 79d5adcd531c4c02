#!/bin/bash
# passagemath-polyhedra 10.8.13 (SageMath's hyperplane arrangements): rows are sorted, merged and refused.
# Behaviour: the arrangement of (3, 1), (-1, 2), (0, 1) has its planes in another order, and so have its sign vectors; a row
# and twice that row are one plane; a row and its negative are a ValueError.
# Expected: entry j of a sign vector is the side of row j; x and -x are the same plane, as x and 2 x are.
# Why it matters: rows of a data matrix repeat and come with their negatives. To compare sign vectors with another
# program's, drop such rows first, and find each plane again by its normal.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check passagemath-polyhedra==10.8.13
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from sage.all__sagemath_polyhedra import QQ, HyperplaneArrangements

H = HyperplaneArrangements(QQ, ("x", "y"))
rows, point = [(3, 1), (-1, 2), (0, 1)], (1, -2)
sides = tuple(1 if a * point[0] + b * point[1] > 0 else -1 for a, b in rows)
arrangement = H([[row, 0] for row in rows])
signs = tuple(int(s) for s in arrangement.sign_vector(point))
print(f"rows {rows}: {arrangement}; sides of {point} row by row {sides}, sign vector {signs}")
merged = len(H([[(1, 0), 0], [(2, 0), 0]]))
print(f"rows (1, 0) and (2, 0): {merged} plane")
try:
    refused = len(H([[(1, 0), 0], [(-1, 0), 0]]))
except ValueError as error:
    refused = str(error)
print(f"rows (1, 0) and (-1, 0): {refused}")
sys.exit(not (signs != sides and merged == 1 and "simultaneously" in str(refused)))
PYTHON
