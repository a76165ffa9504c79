import logging
import tempfile

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch_common import data, fill, labels, main, use

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Net(lightning.LightningModule):
    def __init__(self, width=8, lr=0.1):
        super().__init__()
        self.save_hyperparameters()
        self.net = torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, 3))
        self.seen = []

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, i):
        loss = torch.nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.log("train", loss, prog_bar=True, on_step=True, on_epoch=True)
        self.seen.append(loss.item())
        return loss

    def validation_step(self, batch, i):
        self.log("val", torch.nn.functional.cross_entropy(self(batch[0]), batch[1]))

    test_step = validation_step

    def predict_step(self, batch, i):
        return self(batch[0])

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=self.hparams.lr, momentum=0.9)
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)}


class Data(lightning.LightningDataModule):
    def train_dataloader(self):
        return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(data(8, 4), labels(8, 3)), batch_size=2)

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader


def trainer(folder, **settings):
    return lightning.Trainer(
        accelerator="cpu",
        devices=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        log_every_n_steps=1,
        **{"logger": False, **settings},
    )


@use("fit with validation, checkpoint and resumption")
def fit():
    with tempfile.TemporaryDirectory() as folder:
        net = fill(Net())
        keeper = ModelCheckpoint(dirpath=folder, monitor="val", filename="best", save_last=True)
        held = trainer(folder, max_epochs=2, callbacks=[keeper, EarlyStopping("val", patience=3)])
        held.fit(net, datamodule=Data())
        found = list(net.seen), {k: float(v) for k, v in held.callback_metrics.items()}
        again = Net.load_from_checkpoint(keeper.best_model_path)
        more = Net()
        trainer(folder, max_epochs=3).fit(more, datamodule=Data(), ckpt_path=keeper.last_model_path)
        return found, float(keeper.best_model_score), dict(again.hparams), again(data(2, 4)), more.seen


@use("test, predict and a logger")
def tested():
    with tempfile.TemporaryDirectory() as folder:
        held = trainer(
            folder,
            max_epochs=1,
            logger=CSVLogger(folder),
            callbacks=[LearningRateMonitor()],
            gradient_clip_val=0.5,
            accumulate_grad_batches=2,
        )
        net = fill(Net())
        held.fit(net, datamodule=Data())
        tests = held.test(net, datamodule=Data(), verbose=False)
        predicted = held.predict(net, datamodule=Data())
        return net.seen, tests, next(iter(predicted))


@use("a manual optimization, in fabric")
def fabric():
    held = lightning.Fabric(accelerator="cpu", devices=1)
    net = fill(torch.nn.Linear(4, 3))
    net, optimizer = held.setup(net, torch.optim.SGD(net.parameters(), lr=0.1))
    loader = held.setup_dataloaders(Data().train_dataloader())
    losses = []
    for x, y in loader:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x), y)
        held.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    return losses


if __name__ == "__main__":
    main()
