import chex
import jax
import jax.numpy as jnp
from jax_common import data, main, use


@use("assertions of shapes, types, trees, traces; dataclasses")
def assertions():
    chex.assert_shape([data(2, 3), data(2, 3)], (2, None))
    chex.assert_rank(data(2), 1)
    chex.assert_type([1, jnp.ones(1)], [int, float])
    chex.assert_trees_all_close({"a": jnp.ones(2)}, {"a": jnp.ones(2) + 1e-8})
    chex.assert_tree_all_finite({"a": jnp.ones(2)})
    chex.assert_equal_shape([data(2), data(2)])

    @jax.jit
    @chex.assert_max_traces(n=1)
    def f(x):
        return x * 2

    f(jnp.ones(2)), f(jnp.zeros(2))

    @chex.dataclass
    class State:
        x: chex.Array
        n: int

    s = jax.tree_util.tree_map(lambda x: x + 1, State(x=jnp.ones(2), n=1))
    found = []
    for wrong in (
        lambda: chex.assert_shape(data(2), (3,)),
        lambda: chex.assert_trees_all_equal(jnp.ones(1), jnp.zeros(1)),
        lambda: f(jnp.ones(3)),
    ):
        try:
            wrong()
            found.append(False)
        except AssertionError:
            found.append(True)
    return s.x, s.n, s.replace(n=5).n, found


@use("tests in variants, with and without jit")
def variants():
    class Case(chex.TestCase):
        @chex.variants(with_jit=True, without_jit=True)
        def test(self):
            chex.assert_trees_all_close(self.variant(lambda x: x * 2)(jnp.ones(2)), 2 * jnp.ones(2))

    import unittest

    result = unittest.TextTestRunner(verbosity=0).run(unittest.defaultTestLoader.loadTestsFromTestCase(Case))
    return result.testsRun, result.wasSuccessful()


if __name__ == "__main__":
    main()
