#!/bin/bash
# skops 0.16.0, skops.io: a dictionary with the keys 1 and "1" comes back with one of them.
# Behaviour: {1: "one", "1": "text"} is written and read without an error or a warning, and has one entry afterwards.
# Expected: the types of keys are kept (a dictionary with integers alone keeps them), so both entries are.
# Why it matters: class_weight, categories and lookup tables mix codes and labels; a saved model is silently another.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check skops==0.16.0 scikit-learn==1.9.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import skops.io

read = {}
for name, value in {"integers": {1: "one", 2: "two"}, "both": {1: "one", "1": "text"}}.items():
    data = skops.io.dumps(value)
    assert not skops.io.get_untrusted_types(data=data)
    read[name] = skops.io.loads(data)
    print(f"{value} comes back as {read[name]}")
sys.exit(not (read["integers"] == {1: "one", 2: "two"} and len(read["both"]) == 1))
PYTHON
