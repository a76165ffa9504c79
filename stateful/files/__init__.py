"""Files of tensors: written whole or not at all, and read without executing anything in them.

`access.py` reads and writes any file safely, `tensors.py` is `save` and `load`, `archive.py` and `pickles.py` know
PyTorch's own files, `download.py` fetches files from the network.
"""
