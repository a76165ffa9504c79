import torch
import zuko
from torch_common import data, fill, main, steps, use


@use("masked autoregressive, spline and coupling flows: two steps of maximum likelihood")
def flows():
    found = []
    for make in (
        lambda: zuko.flows.MAF(3, 2, transforms=2, hidden_features=(8,)),
        lambda: zuko.flows.NSF(3, 2, transforms=1, hidden_features=(8,)),
        lambda: zuko.flows.NICE(3, 2, transforms=2, hidden_features=(8,)),
        lambda: zuko.flows.NAF(3, 2, transforms=1, hidden_features=(8,)),
    ):
        flow = fill(make(), 0.3)
        found.append(steps(flow, lambda: -flow(data(5, 2, seed=1)).log_prob(data(5, 3)).mean()))
    return found


@use("continuous flow, samples with their densities")
def samples():
    flow = fill(zuko.flows.CNF(3, hidden_features=(8,)), 0.3)
    torch.manual_seed(0)
    x, logp = fill(zuko.flows.MAF(3, transforms=2, hidden_features=(8,)), 0.3)().rsample_and_log_prob((4,))
    return flow().log_prob(data(2, 3)), list(x.shape), list(logp.shape)


if __name__ == "__main__":
    main()
