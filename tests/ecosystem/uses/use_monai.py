import torch
from monai.data import DataLoader, Dataset
from monai.inferers import sliding_window_inference
from monai.losses import DiceCELoss, DiceLoss, FocalLoss
from monai.metrics import DiceMetric
from monai.networks.nets import UNet
from monai.transforms import Compose, EnsureType, RandFlip, Resize, ScaleIntensity
from torch_common import data, fill, main, normal, steps, use


def unet():
    return fill(
        UNet(spatial_dims=2, in_channels=1, out_channels=2, channels=(4, 8, 16), strides=(2, 2), num_res_units=1), 0.2
    )


Y = (data(2, 1, 16, 16) > 0).long()


@use("UNet with the Dice loss: two steps, the Dice metric")
def trains():
    net, loss = unet(), DiceLoss(to_onehot_y=True, softmax=True)
    losses = steps(net, lambda: loss(net(data(2, 1, 16, 16)), Y))
    metric = DiceMetric(include_background=True)
    metric(torch.nn.functional.one_hot(net(data(2, 1, 16, 16)).argmax(1), 2).movedim(-1, 1), torch.cat([1 - Y, Y], 1))
    return (
        losses,
        metric.aggregate(),
        DiceCELoss(to_onehot_y=True, softmax=True)(net(data(2, 1, 16, 16)), Y),
        FocalLoss(to_onehot_y=True)(net(data(2, 1, 16, 16)), Y),
    )


@use("a window that slides over a larger image")
def windows():
    return sliding_window_inference(data(1, 1, 24, 20), (16, 16), 2, unet().eval(), overlap=0.5)[0, :, ::8, ::8]


@use("transforms and loaders of images that know where they lie")
def transforms():
    chain = Compose([EnsureType(), ScaleIntensity(), Resize((8, 8)), RandFlip(prob=1.0, spatial_axis=0)])
    rows = Dataset([normal((1, 12, 12), i) for i in range(4)], chain)
    return [batch[:, 0, 0, :3] for batch in DataLoader(rows, batch_size=2)], type(rows[0]).__name__


if __name__ == "__main__":
    main()
