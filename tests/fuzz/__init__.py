"""Random calls of every public function with hostile data: refused by name, or true against the twins in `reference`.

A case is a number: `python -m fuzz --first 17 --cases 1` in `tests/` runs the one that was reported. `cases.py` has the
calls, `data.py` what they are called with, `claims.py` what must be true of what they return.
"""
