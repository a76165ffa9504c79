"""The stateful face, with PyTorch's names.  It stands on `fdl.extend` and comes after the functional half."""
