"""Small arrays on which the calls of `cases` are made, by short names."""

import numpy as np

nan, inf = np.nan, np.inf
f, i, u, h = np.float32, np.int32, np.uint8, np.float16

ARRAYS = {
    # floats: ordinary, with repeats, with special values, in order, positive, between 0 and 1
    "x": np.array([0.5, -1.25, 2.0, 3.5, -0.75], f),
    "y": np.array([1.5, 0.25, -2.5, 0.75, 1.25], f),
    "r": np.array([3.0, 1.0, 3.0, 2.0, 1.0, 3.0], f),
    "n": np.array([1.0, nan, -2.0, inf, nan, 0.5], f),
    "o": np.array([-2.0, -0.5, 0.0, 0.25, 1.0, 1.0, 3.0], f),
    "p": np.array([0.5, 1.0, 2.25, 4.0, 0.125], f),
    "q": np.array([0.0, 0.25, 0.5, 0.9, 1.0], f),
    "z": np.array([0.0, -0.0, 1.0, -1.0, inf, -inf, nan], f),
    "m": np.array([[1.0, -2.0, 0.5, 4.0], [2.5, 0.25, -1.0, 3.0], [-0.5, 1.5, 2.0, -3.5]], f),
    "mn": np.array([[nan, nan, nan, nan], [1.0, nan, 3.0, -1.0], [0.5, 2.0, nan, 7.0]], f),
    "s": np.array([[4.0, 1.0, 0.5], [1.0, 3.0, -0.25], [0.5, -0.25, 2.0]], f),
    "t": np.arange(24, dtype=f).reshape(2, 3, 4) / 8 - 1,
    "e": np.zeros((0,), f),
    "e2": np.zeros((0, 3), f),
    "c": np.array(1.5, f),
    "hx": np.array([0.5, -1.25, 2.0, 3.5], h),
    # integers and booleans
    "a": np.array([3, -1, 4, 1, -5, 9], i),
    "b": np.array([2, 7, 1, 8, 2, 8], i),
    "k": np.array([0, 2, 1, 2, 0, 3], i),
    "am": np.array([[3, 1, 2], [0, 5, 4], [3, 1, 2]], i),
    "ub": np.array([1, 200, 3, 255, 0], u),
    "w": np.array([True, False, True, True, False, False]),
    "wm": np.array([[True, False, True, True], [False, False, True, False], [True, True, True, True]]),
    "ei": np.zeros((0,), i),
}
