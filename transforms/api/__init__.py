"""Transforms as users call them, on functions of trees: derivatives and `jit`. They stand on the other folders here."""
