"""Templates of Metal kernels."""
