import tempfile

import safetensors
import torch
from safetensors.torch import load, load_file, load_model, save, save_file, save_model
from torch_common import data, fill, main, use


@use("tensors of each type written and read, whole and by slices")
def tensors():
    held = {
        str(t): (data(3, 4) * 9).to(t)
        for t in (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.int64, torch.bool)
    }
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/x.safetensors"
        save_file(held, path, metadata={"format": "pt"})
        again = load_file(path)
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            part = file.get_slice("torch.float32")[1:, :2]
            about = file.metadata(), sorted(file.keys()), file.get_tensor("torch.bfloat16").float()
    same = [torch.equal(again[k], v) and again[k].dtype == v.dtype for k, v in held.items()]
    return same, part, about, load(save(held))["torch.int64"]


@use("a model whose weights are shared")
def model():
    net = torch.nn.ModuleDict({"a": torch.nn.Linear(3, 3), "b": torch.nn.Linear(3, 3)})
    net["b"].weight = net["a"].weight
    fill(net)
    with tempfile.TemporaryDirectory() as folder:
        save_model(net, folder + "/m.safetensors")
        kept = net["a"].weight.clone()
        fill(net, 0.5)
        missing = load_model(net, folder + "/m.safetensors")
    return torch.equal(kept, net["b"].weight), [list(m) for m in missing]


@use("shared memory is refused by save_file")
def shared():
    x = data(4)
    try:
        save_file({"a": x, "b": x}, "/dev/null")
    except RuntimeError as error:
        return "share memory" in str(error)


if __name__ == "__main__":
    main()
