"""Text for devices: one kernel a node, in the words of CUDA or Metal."""
