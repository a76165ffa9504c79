"""The ground floor of the stateful face: the tensor, how functions of tensors are recorded and walked back, and what
all folders above share.

Read `tensor.py`, `tape.py` and `views.py` first, then `methods.py` and `backward.py`; the others when they are met.
Nothing here imports another folder of the stateful face.
"""
