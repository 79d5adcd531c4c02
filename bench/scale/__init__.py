"""The gated program in memory, from a memory map and on a local cluster: `python -m bench.scale`."""
