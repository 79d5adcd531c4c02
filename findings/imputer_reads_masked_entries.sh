#!/bin/bash
# scikit-learn 1.9.1, NumPy 2.4.6: SimpleImputer takes NumPy's masked arrays, and takes masked entries for observed ones.
# Behaviour: a sensor's column with the code -999 masked comes back with -999 in it, and its learned mean is -248.25; the
# mask is gone from the result, and nothing is said. LinearRegression's slope on it is -0.002, where the data have 1.
# Expected: the entries filled in, since missing values are what an imputer is for, or an error; the array's own mean() is 2.
# Why it matters: masked arrays are how netCDF and FITS readers hand over what is missing, with its code underneath.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check scikit-learn==1.9.1 numpy==2.4.6
"$folder/venv/bin/python" -W error - <<'PYTHON'
import sys
import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression

readings = np.ma.masked_equal([[1.0], [2.0], [3.0], [-999.0]], -999.0)
imputer = SimpleImputer().fit(readings)
filled = imputer.transform(readings)
slope = LinearRegression().fit(readings, [1.0, 2.0, 3.0, 4.0]).coef_[0]
print(f"mean of the readings {readings.mean()}, learned by the imputer {imputer.statistics_[0]}")
print(f"filled in: {filled.ravel().tolist()}, a {type(filled).__name__}; slope of a linear regression {slope:.4f}")
sys.exit(not (imputer.statistics_[0] == -248.25 and filled[3, 0] == -999.0 and abs(slope) < 0.01))
PYTHON
