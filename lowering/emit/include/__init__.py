"""Headers that generated code includes: C, and where it is the same CUDA."""
