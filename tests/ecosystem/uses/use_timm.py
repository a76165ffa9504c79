import timm
import torch
from timm.data import Mixup
from timm.loss import LabelSmoothingCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV2
from torch_common import data, fill, main, steps, use

X, Y = data(2, 3, 32, 32), torch.tensor([0, 2])


def trained(name, dtype=torch.float32, **settings):
    model, x = fill(timm.create_model(name, num_classes=3, **settings), 0.05).to(dtype), X.to(dtype)
    return model, steps(
        model, lambda: torch.nn.functional.cross_entropy(model(x), Y), torch.optim.SGD(model.parameters(), 0.01)
    )


@use("ResNet-18: two steps, running statistics, features")
def resnet18():
    model, losses = trained("resnet18", torch.float64)  # its last norms have two values a channel: float32 is too short
    model.eval()
    return losses, model.bn1.running_mean[:4], model.forward_features(X.double()).mean((2, 3))[:, :8]


@use("ViT: two steps")
def vit():
    return trained("vit_tiny_patch16_224", img_size=32, depth=2)[1]


@use("EfficientNet, MobileNet, ConvNeXt, Swin: a forward pass")
def others():
    found = []
    for name, settings in [
        ("efficientnet_b0", {}),
        ("mobilenetv3_small_050", {}),
        ("convnext_atto", {}),
        ("swin_tiny_patch4_window7_224", {"img_size": 32, "window_size": 2, "depths": (1, 1, 1, 1)}),
    ]:
        with torch.no_grad():
            found.append(fill(timm.create_model(name, num_classes=3, **settings), 0.05).eval()(X))
    return found


@use("feature maps of chosen stages")
def features():
    model = fill(timm.create_model("resnet18", features_only=True, out_indices=(1, 3)), 0.05).eval()
    return [f.mean((2, 3))[:, :4] for f in model(X)], model.feature_info.channels()


@use("feature maps by a traced graph")
def traced():
    model = timm.create_model("resnet18", features_only=True, out_indices=(1, 3), feature_cls="fx")
    return [f.mean((2, 3))[:, :4] for f in fill(model, 0.05).eval()(X)]


@use("optimizer, schedule, smoothing, moving average and mixup")
def training():
    model = fill(timm.create_model("resnet10t", num_classes=3), 0.05)
    optimizer = create_optimizer_v2(model, "adamw", lr=1e-2, weight_decay=0.1)
    schedule = CosineLRScheduler(optimizer, t_initial=4, warmup_t=1, warmup_lr_init=1e-4)
    average, loss = ModelEmaV2(model, decay=0.9), LabelSmoothingCrossEntropy(0.1)
    losses, rates = [], []
    for epoch in range(2):
        optimizer.zero_grad()
        found = loss(model(X), Y)
        found.backward()
        optimizer.step()
        average.update(model)
        schedule.step(epoch + 1)
        losses.append(found.item())
        rates.append(optimizer.param_groups[0]["lr"])
    mixed, soft = Mixup(mixup_alpha=0.2, num_classes=3)(X.clone(), Y)
    return losses, rates, average.module.fc.bias, list(mixed.shape), soft.sum(1)


if __name__ == "__main__":
    main()
