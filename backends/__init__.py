"""Who runs a program: the NumPy interpreter, C, and CUDA where there is a GPU. Read `executable.py`, `dispatch.py`,
`c.py`.
"""
