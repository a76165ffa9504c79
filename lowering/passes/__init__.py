"""Graph-to-Graph passes, each a pure function in a file of its own."""
