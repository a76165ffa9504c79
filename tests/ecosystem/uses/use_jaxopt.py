import jax
import jax.numpy as jnp
import jaxopt
from jax_common import data, main, use

X, Y = data(20, 3), data(20, 3) @ jnp.array([1.0, -2.0, 0.0])


def ridge(w, l2=0.1):
    return jnp.mean((X @ w - Y) ** 2) + l2 * jnp.sum(w**2)


@use("gradient descent, L-BFGS, BFGS, nonlinear CG, Gauss-Newton, Levenberg-Marquardt")
def smooth():
    start = jnp.zeros(3)
    found = {
        s.__name__: s(ridge, maxiter=100, tol=1e-6).run(start).params
        for s in (jaxopt.GradientDescent, jaxopt.LBFGS, jaxopt.BFGS, jaxopt.NonlinearCG)
    }
    rest = lambda w: X @ w - Y
    return found, jaxopt.GaussNewton(rest).run(start).params, jaxopt.LevenbergMarquardt(rest).run(start).params


@use("proximal and projected gradient, OSQP, bisection, fixed points")
def constrained():
    loss = lambda w: jnp.mean((X @ w - Y) ** 2)
    lasso = jaxopt.ProximalGradient(loss, jaxopt.prox.prox_lasso, maxiter=200).run(jnp.zeros(3), hyperparams_prox=0.5)
    simplex = jaxopt.ProjectedGradient(loss, jaxopt.projection.projection_simplex, maxiter=200).run(
        jnp.ones(3) / 3, hyperparams_proj=1.0
    )
    root = jaxopt.Bisection(lambda x: x**3 - 2.0, 0.0, 2.0, tol=1e-5).run().params
    fixed = jaxopt.FixedPointIteration(jnp.cos, maxiter=100, tol=1e-5).run(jnp.array(0.5)).params
    quadratic = (
        jaxopt.OSQP()
        .run(params_obj=(jnp.eye(2), -jnp.ones(2)), params_ineq=(jnp.eye(2), jnp.full(2, 0.5)))
        .params.primal
    )
    return lasso.params, simplex.params, root, fixed, quadratic


@use("derivatives of solutions by the implicit function theorem")
def implicit():
    return jax.grad(lambda l2: jaxopt.LBFGS(ridge, implicit_diff=True, tol=1e-6).run(jnp.zeros(3), l2).params.sum())(
        0.1
    )


if __name__ == "__main__":
    main()
