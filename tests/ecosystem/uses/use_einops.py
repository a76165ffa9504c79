import torch
from einops import einsum, pack, rearrange, reduce, repeat, unpack
from einops.layers.torch import EinMix, Rearrange, Reduce
from torch_common import data, fill, labels, main, steps, use


@use("rearrange, reduce, repeat, einsum, pack")
def functions():
    x = data(2, 3, 4, 6)
    packed, shapes = pack([x, x[..., 0]], "b c *")
    return (
        rearrange(x, "b c (h s) w -> b (c s) h w", s=2),
        reduce(x, "b c h w -> b c", "max"),
        reduce(x, "b c (h 2) (w 3) -> b c h w", "mean"),
        repeat(x[0, 0], "h w -> h (w r)", r=2),
        einsum(x, x, "b c h w, b d h w -> b c d"),
        packed.shape,
        [u.shape for u in unpack(packed, shapes, "b c *")],
        rearrange([x[0], x[1]], "b c h w -> c b h w")[0, 0, 0],
    )


@use("layers: two steps of a convolutional network")
def layers():
    net = fill(
        torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3),
            torch.nn.ReLU(),
            Reduce("b c (h 2) (w 2) -> b c h w", "max"),
            Rearrange("b c h w -> b (c h w)"),
            torch.nn.Linear(36, 8),
            EinMix("b (g i) -> b (g o)", weight_shape="g i o", bias_shape="g o", g=2, i=4, o=2),
        )
    )
    return steps(net, lambda: torch.nn.functional.cross_entropy(net(data(4, 1, 8, 8)), labels(4, 4)))


if __name__ == "__main__":
    main()
