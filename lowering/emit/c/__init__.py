"""C: kernels, and the function around them that every thread runs."""
