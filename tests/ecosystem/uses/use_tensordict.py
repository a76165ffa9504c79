import tempfile

import torch
from tensordict import TensorDict, tensorclass
from tensordict.nn import TensorDictModule, TensorDictSequential
from torch_common import data, fill, main, steps, use


@use("indexing, stacking, reshaping, nesting")
def basics():
    d = TensorDict({"a": data(4, 3), "b": {"c": data(4, 2)}}, batch_size=[4])
    stacked = torch.stack([d, d * 2])
    d["e"] = data(4)
    d[0] = d[1]
    return (
        d[1:3]["b", "c"],
        stacked.shape,
        stacked.reshape(8)["a"][5],
        sorted(d.keys(True, True)),
        d.apply(lambda x: x.sum())["a"],
        torch.cat([d, d])["e"],
        d.flatten_keys(".")["b.c"][0],
        d.to(torch.float64)["a"].dtype == torch.float64,
        d.select("a").sum().get("a"),
        d.split(2)[1]["a"],
    )


@use("modules that read and write keys: two steps")
def modules():
    net = TensorDictSequential(
        TensorDictModule(torch.nn.Linear(3, 4), in_keys=["x"], out_keys=["h"]),
        TensorDictModule(torch.nn.Tanh(), in_keys=["h"], out_keys=["h"]),
        TensorDictModule(torch.nn.Linear(4, 2), in_keys=["h"], out_keys=[("out", "y")]),
    )
    fill(net)
    run = lambda: net(TensorDict({"x": data(5, 3)}, [5]))["out", "y"].square().mean()
    return steps(net, run), sorted(TensorDict.from_module(net).keys(True, True), key=str)[:2]


@use("classes of tensors")
def classes():
    @tensorclass
    class Row:
        x: torch.Tensor
        name: str

    row = Row(x=data(3, 2), name="a", batch_size=[3])
    return row[1].x, torch.stack([row, row]).x.shape, row.name


@use("memory maps and saving")
def saved():
    d = TensorDict({"a": data(4, 3)}, [4])
    with tempfile.TemporaryDirectory() as folder:
        d.memmap(folder)
        again = TensorDict.load_memmap(folder)["a"].clone()
        torch.save(d.to_dict(), folder + "/d.pt")
        return again, torch.load(folder + "/d.pt")["a"]


if __name__ == "__main__":
    main()
