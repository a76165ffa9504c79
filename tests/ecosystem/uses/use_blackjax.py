import blackjax
import jax
import jax.numpy as jnp
from jax_common import main, use

logdensity = lambda x: -0.5 * jnp.sum((x - jnp.array([1.0, -2.0])) ** 2 / jnp.array([0.5, 2.0]))


def run(kernel, state, count=300):
    def one(state, key):
        state, _ = kernel(key, state)
        return state, state.position

    return jax.lax.scan(one, state, jax.random.split(jax.random.PRNGKey(1), count))[1]


def near(x):
    return bool(jnp.abs(x[50:].mean(0) - jnp.array([1.0, -2.0])).max() < 0.6)


@use("HMC, NUTS, MALA, random walks find the truth")
def samplers():
    found, _key = {}, jax.random.PRNGKey(0)
    for name, held in {
        "hmc": blackjax.hmc(logdensity, 0.3, jnp.ones(2), 10),
        "nuts": blackjax.nuts(logdensity, 0.3, jnp.ones(2)),
        "mala": blackjax.mala(logdensity, 0.5),
    }.items():
        found[name] = near(run(jax.jit(held.step), held.init(jnp.zeros(2))))
    return found


@use("window adaptation")
def adaptation():
    warm = blackjax.window_adaptation(blackjax.nuts, logdensity)
    (state, parameters), _ = warm.run(jax.random.PRNGKey(0), jnp.zeros(2), num_steps=200)
    return near(run(jax.jit(blackjax.nuts(logdensity, **parameters).step), state)), sorted(parameters)


@use("one step of Hamiltonian dynamics")
def leapfrog():
    from blackjax.mcmc import integrators, metrics

    metric = metrics.default_metric(jnp.ones(2))
    step = integrators.velocity_verlet(logdensity, metric.kinetic_energy)
    position = jnp.array([0.3, 0.4])
    value, grad = jax.value_and_grad(logdensity)(position)
    found = step(integrators.IntegratorState(position, jnp.array([1.0, -1.0]), value, grad), 0.1)
    return found.position, found.momentum, found.logdensity


if __name__ == "__main__":
    main()
