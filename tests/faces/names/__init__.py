"""The functional face name by name: JAX's names that are there, and values that JAX gives for calls of them."""
