"""The simulator's inner loop: plain arrays and functions that numba compiles where it is installed."""
