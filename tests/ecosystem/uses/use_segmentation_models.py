import segmentation_models_pytorch as smp
import torch
from torch_common import data, fill, main, steps, use

X, Y = data(2, 3, 32, 32), (data(2, 1, 32, 32, seed=1) > 0).float()


@use("U-Net on a ResNet with the Dice loss: two steps, scores")
def unet():
    net = fill(smp.Unet("resnet18", encoder_weights=None, classes=1), 0.05)
    loss = smp.losses.DiceLoss("binary")
    losses = steps(net, lambda: loss(net(X), Y), torch.optim.SGD(net.parameters(), lr=0.01))
    stats = smp.metrics.get_stats(net(X).sigmoid(), Y.long(), mode="binary", threshold=0.5)
    return losses, smp.metrics.iou_score(*stats, reduction="micro")


@use("FPN, DeepLab, Linknet, PSPNet: a forward pass")
def others():
    found = []
    for kind in (smp.FPN, smp.DeepLabV3Plus, smp.Linknet, smp.PSPNet):
        net = fill(kind("resnet18", encoder_weights=None, classes=2), 0.05).eval()
        with torch.no_grad():
            found.append(net(X)[0, :, ::16, ::16])
    return found


if __name__ == "__main__":
    main()
