import distrax
import jax
import jax.numpy as jnp
from jax_common import data, main, use


@use("densities, entropies, divergences, transformed distributions")
def densities():
    x = data(3)
    normal, other = distrax.Normal(0.0, 1.0), distrax.Normal(1.0, 2.0)
    flow = distrax.Transformed(normal, distrax.Chain([distrax.Tanh(), distrax.ScalarAffine(1.0, 2.0)]))
    mixture = distrax.MixtureSameFamily(
        distrax.Categorical(probs=jnp.array([0.3, 0.7])), distrax.Normal(jnp.array([-1.0, 1.0]), jnp.ones(2))
    )
    return (
        normal.log_prob(x),
        normal.entropy(),
        normal.kl_divergence(other),
        distrax.Categorical(logits=data(4)).log_prob(jnp.arange(4)),
        flow.log_prob(jnp.array([0.1, -0.3])),
        mixture.log_prob(x),
        distrax.MultivariateNormalDiag(jnp.zeros(3), jnp.ones(3)).log_prob(x),
        distrax.Gamma(2.0, 1.0).log_prob(x**2),
        distrax.Beta(2.0, 2.0).log_prob(jax.nn.sigmoid(x)),
        distrax.Softmax(data(4)).entropy(),
        distrax.Bernoulli(logits=x).mean(),
        distrax.RationalQuadraticSpline(data(3, 13), -3.0, 3.0).forward(x),
        jax.grad(lambda m: distrax.Normal(m, 1.0).log_prob(0.3))(0.0),
    )


@use("samples under jit and their shapes")
def samples():
    draw = jax.jit(
        lambda key: distrax.Independent(distrax.Normal(jnp.zeros((2, 3)), 1.0), 1).sample(seed=key, sample_shape=(5,))
    )
    hmm = distrax.HMM(
        distrax.Categorical(probs=jnp.array([0.5, 0.5])),
        distrax.Categorical(probs=jnp.array([[0.9, 0.1], [0.2, 0.8]])),
        distrax.Normal(jnp.array([-1.0, 1.0]), jnp.ones(2)),
    )
    return list(draw(jax.random.PRNGKey(0)).shape), hmm.forward(data(4))[1]


if __name__ == "__main__":
    main()
