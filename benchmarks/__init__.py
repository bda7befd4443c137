"""Figures, each beside its floor in the same run: `python -m benchmarks [pages accept events console memory]`."""
