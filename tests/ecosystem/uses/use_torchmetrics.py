import torch
import torchmetrics as tm
from torch_common import data, labels, main, use

P, Y = data(40, 4).softmax(-1), labels(40, 4)
B, T = torch.sigmoid(data(40, seed=1)), labels(40, 2)


@use("classification: accuracy to calibration, by batches")
def classification():
    kinds = {"task": "multiclass", "num_classes": 4}
    held = tm.MetricCollection(
        {
            "accuracy": tm.Accuracy(**kinds),
            "f1": tm.F1Score(**kinds, average="macro"),
            "auroc": tm.AUROC(**kinds),
            "precision": tm.Precision(**kinds, average="none"),
            "confusion": tm.ConfusionMatrix(**kinds),
            "kappa": tm.CohenKappa(**kinds),
            "ap": tm.AveragePrecision(**kinds),
            "calibration": tm.CalibrationError(**kinds),
            "matthews": tm.MatthewsCorrCoef(**kinds),
        }
    )
    for i in range(0, 40, 10):
        held.update(P[i : i + 10], Y[i : i + 10])
    first = held.compute()
    held.reset()
    return first, held(P, Y)["accuracy"]


@use("binary curves")
def curves():
    return (
        tm.functional.roc(B, T, task="binary"),
        tm.functional.precision_recall_curve(B, T, task="binary", thresholds=5),
        tm.functional.auroc(B, T, task="binary"),
    )


@use("regression and correlation")
def regression():
    x, y = data(20), data(20, seed=2)
    f = tm.functional
    return [
        f.mean_squared_error(x, y),
        f.mean_absolute_error(x, y),
        f.r2_score(x, y),
        f.pearson_corrcoef(x, y),
        f.spearman_corrcoef(x, y),
        f.explained_variance(x, y),
        f.cosine_similarity(x[None], y[None]),
        f.kendall_rank_corrcoef(x, y),
    ]


@use("images and audio: SSIM, PSNR, total variation, SNR")
def images():
    f = tm.functional
    x, y = data(2, 3, 24, 24).sigmoid(), data(2, 3, 24, 24, seed=3).sigmoid()
    return [
        f.structural_similarity_index_measure(x, y, data_range=1.0),
        f.peak_signal_noise_ratio(x, y, data_range=1.0),
        f.total_variation(x),
        f.signal_noise_ratio(data(2, 50), data(2, 50, seed=1)),
        f.scale_invariant_signal_distortion_ratio(data(2, 50), data(2, 50, seed=1)),
        f.universal_image_quality_index(x, y),
    ]


@use("text, retrieval, means, a metric of one's own, states as a dict")
def own():
    class Mine(tm.Metric):
        full_state_update = False

        def __init__(self):
            super().__init__()
            self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
            self.add_state("seen", [], dist_reduce_fx="cat")

        def update(self, x):
            self.total += x.sum()
            self.seen.append(x)

        def compute(self):
            return self.total, torch.cat(self.seen)

    mine, mean = Mine(), tm.MeanMetric()
    for x in (data(3), data(3, seed=1)):
        mine.update(x)
        mean.update(x, weight=2.0)
    mine.persistent(True)
    retrieval = tm.retrieval.RetrievalMAP()(B, T.bool(), indexes=labels(40, 3))
    text = tm.text.BLEUScore(n_gram=2)(["a b c d"], [["a b d d"]]), tm.text.WordErrorRate()(["a b"], ["a c"])
    return mine.compute(), mean.compute(), sorted(mine.state_dict()), retrieval, text, tm.RunningMean(2)(data(2))


if __name__ == "__main__":
    main()
