"""What docs and README state, measured: `python -m benchmarks.identity --help`."""
