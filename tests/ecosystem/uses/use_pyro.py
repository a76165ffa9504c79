import pyro
import pyro.distributions as dist
import torch
from pyro.infer import MCMC, NUTS, SVI, Predictive, Trace_ELBO, TraceEnum_ELBO, config_enumerate
from pyro.infer.autoguide import AutoMultivariateNormal, AutoNormal
from pyro.optim import Adam, ClippedAdam
from torch_common import data, main, use

X, Y = data(20, 2), data(20, 2) @ torch.tensor([1.0, -2.0]) + 0.1 * data(20, seed=1)


def model(x, y=None):
    w = pyro.sample("w", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    scale = pyro.sample("scale", dist.LogNormal(0.0, 0.5))
    with pyro.plate("rows", len(x)):
        return pyro.sample("y", dist.Normal(x @ w, scale), obs=y)


@use("density of a model's trace")
def density():
    held = pyro.poutine.condition(model, data={"w": torch.tensor([1.0, -1.0]), "scale": torch.tensor(0.3)})
    trace = pyro.poutine.trace(held).get_trace(X, Y)
    return trace.log_prob_sum(), sorted(trace.nodes)


@use("variational inference with a guide of one's own, whose samples are points")
def points():
    pyro.clear_param_store()

    def guide(x, y=None):
        w = pyro.param("at", torch.tensor([0.5, 0.0]))
        s = pyro.param("s", torch.tensor(1.0), constraint=dist.constraints.positive)
        pyro.sample("w", dist.Delta(w).to_event(1))
        pyro.sample("scale", dist.Delta(s))

    svi = SVI(model, guide, Adam({"lr": 0.05}), Trace_ELBO())
    losses = [svi.step(X, Y) for _ in range(5)]
    return losses, pyro.param("at"), pyro.param("s")


@use("variational inference by automatic guides finds the truth")
def guides():
    found = []
    for guide in (AutoNormal, AutoMultivariateNormal):
        pyro.clear_param_store()
        pyro.set_rng_seed(0)
        held = guide(model)
        svi = SVI(model, held, ClippedAdam({"lr": 0.05}), Trace_ELBO(num_particles=2))
        for _ in range(150):
            svi.step(X, Y)
        samples = Predictive(model, guide=held, num_samples=50)(X)
        found.append(
            (bool((held.median()["w"] - torch.tensor([1.0, -2.0])).abs().max() < 0.2), list(samples["y"].shape))
        )
    return found


@use("discrete variables summed out")
def discrete():
    pyro.clear_param_store()

    @config_enumerate
    def mixture(x):
        with pyro.plate("n", len(x)):
            k = pyro.sample("k", dist.Categorical(torch.tensor([0.3, 0.7])))
            pyro.sample("x", dist.Normal(torch.tensor([-1.0, 1.0])[k], 0.5), obs=x)

    return TraceEnum_ELBO(max_plate_nesting=1).loss(mixture, lambda x: None, data(10))


@use("NUTS finds the truth")
def nuts():
    pyro.set_rng_seed(0)
    held = MCMC(NUTS(model), num_samples=30, warmup_steps=30, disable_progbar=True)
    held.run(X, Y)
    return bool((held.get_samples()["w"].mean(0) - torch.tensor([1.0, -2.0])).abs().max() < 0.2)


if __name__ == "__main__":
    main()
