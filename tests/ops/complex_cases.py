"""Functions of complex numbers and where they are looked at: shared by the tests and by who records JAX's values.

Each function takes modules like `numpy` and `lax`, and the numbers.
"""

import itertools

import numpy as np

_RNG = np.random.default_rng(7)
ORDINARY = (_RNG.normal(size=10) + 1j * _RNG.normal(size=10)) * np.array([1, 1, 1, 1, 1, 1, 1e-3, 20, 1e-3j, 5j])
# on both sides of all branch cuts, where NumPy is the oracle: JAX does not tell them apart in all functions
CUTS = np.array([complex(a, b) for a in (-2.0, 2.0, -0.5, 0.5) for b in (0.0, -0.0)])
CUTS = np.concatenate([CUTS, [complex(b, a) for a in (-2.0, 2.0, -0.5, 0.5) for b in (0.0, -0.0)]])
TANGENT, COTANGENT = 0.3 - 0.7j, 0.5 + 0.25j

UNARY = {
    "negative": lambda np, lax, z: -z,
    "conj": lambda np, lax, z: np.conj(z),
    "real": lambda np, lax, z: np.real(z),
    "imag": lambda np, lax, z: np.imag(z),
    "abs": lambda np, lax, z: np.abs(z),
    "angle": lambda np, lax, z: np.angle(z),
    "square": lambda np, lax, z: np.square(z),
    "reciprocal": lambda np, lax, z: 1 / z,
    "cube": lambda np, lax, z: z**3,
    "inverse square": lambda np, lax, z: z**-2,
    "root by power": lambda np, lax, z: z**0.5,
    "two to the power": lambda np, lax, z: 2.0**z,
    "rsqrt": lambda np, lax, z: lax.rsqrt(z),
    "logistic": lambda np, lax, z: lax.logistic(z),
    "expm1": lambda np, lax, z: np.expm1(z),
    "log1p": lambda np, lax, z: np.log1p(z),
    "size squared": lambda np, lax, z: (z * np.conj(z)).real,
    "real times complex": lambda np, lax, z: np.real(z) * z,
    "of parts": lambda np, lax, z: lax.complex(np.imag(z), np.exp(np.real(z))),
    "where": lambda np, lax, z: np.where(np.real(z) > 0, z * z, np.conj(z)),
    **{
        name: (lambda np, lax, z, name=name: getattr(np, name)(z))
        for name in (
            "exp exp2 log log2 log10 sqrt sin cos tan sinh cosh tanh arcsin arccos arctan arcsinh arccosh arctanh"
        ).split()
    },
}
POLES_AT_0 = ("angle", "reciprocal", "inverse square", "root by power", "rsqrt", "log", "log2", "log10", "sqrt")
BINARY = {
    "add": lambda np, lax, a, b: a + b,
    "subtract": lambda np, lax, a, b: a - b,
    "multiply": lambda np, lax, a, b: a * b,
    "divide": lambda np, lax, a, b: a / b,
    "power": lambda np, lax, a, b: a**b,
}
OF_VECTORS = {
    "sum": lambda np, lax, z: np.sum(np.sin(z)),
    "mean": lambda np, lax, z: np.mean(z * z),
    "var": lambda np, lax, z: np.var(z),
    "std": lambda np, lax, z: np.std(z),
    "prod": lambda np, lax, z: np.prod(z),
    "cumsum": lambda np, lax, z: np.cumsum(z),
    "dot": lambda np, lax, z: np.dot(z, np.sin(z)),
    "vdot": lambda np, lax, z: np.vdot(z, z * z),
    "outer": lambda np, lax, z: np.outer(z, np.conj(z)),
    "matmul": lambda np, lax, z: z.reshape(2, 5) @ np.exp(z).reshape(5, 2),
    "einsum": lambda np, lax, z: np.einsum("ij,kj->ik", z.reshape(2, 5), np.conj(z.reshape(2, 5))),
    "flip": lambda np, lax, z: np.flip(z)[::3] * 2j,
    "at": lambda np, lax, z: z[np.array([0, 3, 3])] * z[2],
    "pad": lambda np, lax, z: np.pad(z, (1, 2)) * 1j,
    "concatenate": lambda np, lax, z: np.concatenate([z, z.real, 1j * z.imag]),
    "sort": lambda np, lax, z: np.sort(z),
    "norm": lambda np, lax, z: np.linalg.norm(z),
}


def cases():
    """(name, function of modules and numbers, numbers)."""
    for name, f in UNARY.items():
        # left of the axis JAX takes the other root for the derivative of arccosh
        chosen = ORDINARY[ORDINARY.real > 0] if name == "arccosh" else ORDINARY
        yield name, f, (chosen if name in POLES_AT_0 else np.append(chosen, 0),)
    a, b = np.array(list(itertools.product(ORDINARY[:5], ORDINARY[3:9]))).T
    for name, f in BINARY.items():
        yield name, f, (a, b)
    for name, f in OF_VECTORS.items():
        yield f"{name} of a vector", f, (ORDINARY,)
