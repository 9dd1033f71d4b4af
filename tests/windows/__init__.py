"""The tests that run the program on Windows' Python under Wine: `make test-windows`."""
