import jax
import jax.numpy as jnp
from jax_common import data, main, use
from jaxtyping import Array, Float, Int, PyTree, Shaped, jaxtyped
from typeguard import typechecked


@use("annotations that are checked, also under jit; trees")
def annotations():
    @jaxtyped(typechecker=typechecked)
    def product(x: Float[Array, "n m"], y: Float[Array, "m k"]) -> Float[Array, "n k"]:
        return x @ y

    found = [product(data(2, 3), data(3, 4)), jax.jit(product)(data(2, 3), data(3, 4))[0]]
    wrong = []
    for x, y in ((data(2, 3), data(2, 4)), (jnp.ones((2, 3), int), data(3, 4))):
        try:
            product(x, y)
            wrong.append(False)
        except Exception:
            wrong.append(True)
    tree = isinstance({"a": jnp.ones(2)}, PyTree[Float[Array, "n"]])
    return found, wrong, tree, isinstance(jnp.ones(2), Int[Array, "2"]), isinstance(jnp.ones(2), Shaped[jax.Array, "2"])


if __name__ == "__main__":
    main()
