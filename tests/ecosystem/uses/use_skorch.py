import numpy as np
import torch
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import EpochScoring, LRScheduler
from torch_common import fill, main, normal, use

X, Y = normal((20, 4), 5), np.arange(20) * 7 % 3


class Net(torch.nn.Module):
    def __init__(self, width=8, outputs=3):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, outputs))
        fill(self)

    def forward(self, x):
        return self.layers(x)


def net(**settings):
    return NeuralNetClassifier(
        Net, criterion=torch.nn.CrossEntropyLoss, lr=0.1, batch_size=10, verbose=0, **{"max_epochs": 3, **settings}
    )


@use("a classifier in a pipeline")
def classifier():
    held = make_pipeline(StandardScaler(), net(train_split=None)).fit(X, Y)
    return held.predict_proba(X)[:3], held.predict(X), held[-1].history[:, "train_loss"]


@use("grid search, scores, a schedule")
def search():
    held = GridSearchCV(
        net(
            callbacks=[EpochScoring("accuracy", on_train=True), LRScheduler(policy="StepLR", step_size=1)],
            train_split=None,
        ),
        {"lr": [0.01, 0.1], "module__width": [4, 8]},
        cv=2,
        refit=False,
    ).fit(X, Y)
    return held.best_params_, held.cv_results_["mean_test_score"]


@use("a regressor, saved and loaded, copied and pickled")
def regressor():
    import pickle
    import tempfile

    held = NeuralNetRegressor(Net, module__outputs=1, max_epochs=2, lr=0.1, verbose=0, train_split=None)
    held.fit(X, X[:, :1])
    with tempfile.TemporaryDirectory() as folder:
        held.save_params(f_params=folder + "/p.pt", f_optimizer=folder + "/o.pt")
        again = NeuralNetRegressor(Net, module__outputs=1).initialize()
        again.load_params(f_params=folder + "/p.pt", f_optimizer=folder + "/o.pt")
    return again.predict(X)[:3], pickle.loads(pickle.dumps(held)).predict(X)[:3]


if __name__ == "__main__":
    main()
