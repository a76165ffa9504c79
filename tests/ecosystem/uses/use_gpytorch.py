import gpytorch
import torch
from torch_common import data, main, steps, use

X = torch.linspace(0, 1, 12)
Y = torch.sin(6 * X) + 0.1 * data(12)


class Exact(gpytorch.models.ExactGP):
    def __init__(self, likelihood, kernel=None):
        super().__init__(X, Y, likelihood)
        self.mean = gpytorch.means.ConstantMean()
        self.kernel = kernel or gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel())

    def forward(self, x):
        return gpytorch.distributions.MultivariateNormal(self.mean(x), self.kernel(x))


@use("exact regression: steps of the marginal likelihood, the posterior")
def exact():
    found = []
    for kernel in (
        None,
        gpytorch.kernels.MaternKernel(2.5),
        gpytorch.kernels.PeriodicKernel() + gpytorch.kernels.LinearKernel(),
    ):
        likelihood = gpytorch.likelihoods.GaussianLikelihood()
        model = Exact(likelihood, kernel)
        mll = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)
        losses = steps(model, lambda: -mll(model(X), Y), torch.optim.Adam(model.parameters(), lr=0.1), 4)
        model.eval(), likelihood.eval()
        with torch.no_grad(), gpytorch.settings.fast_pred_var():
            at = likelihood(model(torch.linspace(0, 1, 5)))
            found.append((losses, at.mean, at.variance, at.confidence_region()))
    return found


@use("a variational approximation: steps of the bound")
def variational():
    class Model(gpytorch.models.ApproximateGP):
        def __init__(self):
            at = torch.linspace(0, 1, 4)[:, None]
            held = gpytorch.variational.CholeskyVariationalDistribution(4)
            super().__init__(gpytorch.variational.VariationalStrategy(self, at, held))
            self.mean, self.kernel = gpytorch.means.ZeroMean(), gpytorch.kernels.RBFKernel()

        def forward(self, x):
            return gpytorch.distributions.MultivariateNormal(self.mean(x), self.kernel(x))

    model, likelihood = Model(), gpytorch.likelihoods.GaussianLikelihood()
    model.variational_strategy.variational_params_initialized.fill_(1)
    bound = gpytorch.mlls.VariationalELBO(likelihood, model, len(X))
    return steps(model, lambda: -bound(model(X[:, None]), Y), torch.optim.Adam(model.parameters(), lr=0.1), 3)


if __name__ == "__main__":
    main()
