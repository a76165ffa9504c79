import diffrax
import jax
import jax.numpy as jnp
from jax_common import data, main, use


def solve(p, solver=None, **settings):
    term = diffrax.ODETerm(lambda t, y, args: jnp.stack([y[1], -p * y[0] - 0.1 * y[1]]))
    return diffrax.diffeqsolve(
        term,
        solver or diffrax.Tsit5(),
        0.0,
        2.0,
        0.1,
        jnp.array([1.0, 0.0]),
        saveat=diffrax.SaveAt(ts=jnp.linspace(0.0, 2.0, 5)),
        **settings,
    )


@use("solvers with adaptive and constant steps")
def solvers():
    adaptive = diffrax.PIDController(rtol=1e-5, atol=1e-6)
    return [
        solve(2.0, s(), stepsize_controller=c).ys
        for s, c in [
            (diffrax.Tsit5, adaptive),
            (diffrax.Dopri5, adaptive),
            (diffrax.Heun, diffrax.ConstantStepSize()),
            (diffrax.Euler, diffrax.ConstantStepSize()),
        ]
    ]


@use("gradients through a solution, jitted, by checkpoints")
def gradients():
    f = lambda p: solve(p, stepsize_controller=diffrax.PIDController(rtol=1e-5, atol=1e-6)).ys[-1, 0]
    return jax.jit(jax.grad(f))(2.0)


@use("an implicit solver, a stochastic equation, an interpolation")
def others():
    stiff = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, a: -50.0 * (y - jnp.cos(t))),
        diffrax.Kvaerno3(),
        0.0,
        1.0,
        0.01,
        jnp.array(0.0),
        stepsize_controller=diffrax.PIDController(rtol=1e-4, atol=1e-6),
    )
    path = diffrax.VirtualBrownianTree(0.0, 1.0, tol=1e-2, shape=(), key=jax.random.PRNGKey(0))
    terms = diffrax.MultiTerm(diffrax.ODETerm(lambda t, y, a: -y), diffrax.ControlTerm(lambda t, y, a: 0.0 * y, path))
    noisy = diffrax.diffeqsolve(terms, diffrax.Euler(), 0.0, 1.0, 0.1, jnp.array(1.0))
    line = diffrax.LinearInterpolation(jnp.linspace(0.0, 1.0, 4), data(4))
    return stiff.ys, noisy.ys, line.evaluate(0.4)


if __name__ == "__main__":
    main()
