"""C sources of the runtime library."""
