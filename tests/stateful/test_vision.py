"""Functions on images, and models."""

import colorsys

import numpy as np
import pytest

import fdl.stateful as torch
from fdl.stateful.vision import datasets, models, transforms
from fdl.stateful.vision.transforms import functional as F

PIXELS = (np.random.default_rng(0).random((12, 9, 3)) * 255).astype(np.uint8)


def test_hue_turns_the_circle_of_colours():
    image = F.to_tensor(PIXELS)
    for factor in (-0.5, -0.2, 0.0, 0.3, 0.5):
        want = [
            [colorsys.hsv_to_rgb((colorsys.rgb_to_hsv(*p)[0] + factor) % 1, *colorsys.rgb_to_hsv(*p)[1:]) for p in row]
            for row in PIXELS / 255.0
        ]
        np.testing.assert_allclose(F.adjust_hue(image, factor).numpy(), np.transpose(want, (2, 0, 1)), atol=1e-5)
    grey = torch.full((3, 2, 2), 0.4)
    np.testing.assert_allclose(F.adjust_hue(grey, 0.25).numpy(), grey.numpy(), atol=1e-6)
    with pytest.raises(ValueError, match="hue_factor"):
        F.adjust_hue(image, 0.7)


def test_functions_by_their_definitions():
    image = F.to_tensor(PIXELS)
    assert F.get_dimensions(PIXELS) == F.get_dimensions(image) == [3, 12, 9] and F.get_image_size(image) == [9, 12]
    np.testing.assert_array_equal(F.hflip(PIXELS), PIXELS[:, ::-1])
    np.testing.assert_array_equal(F.vflip(image).numpy(), image.numpy()[:, ::-1])
    np.testing.assert_array_equal(F.crop(PIXELS, 2, 3, 5, 4), PIXELS[2:7, 3:7])
    outside = F.crop(image, -1, 7, 3, 4).numpy()
    assert outside.shape == (3, 3, 4) and not outside[:, 0].any() and not outside[:, :, 2:].any()
    np.testing.assert_array_equal(outside[:, 1:, :2], image.numpy()[:, :2, 7:])
    assert F.pad(image, [1, 2, 3, 4]).shape == (3, 12 + 6, 9 + 4)
    assert (
        F.resize(image, 6).shape == (3, 8, 6)
        and F.resize(image, 6, max_size=7).shape == (3, 7, 5)
        and F.resize(image, [5, 4]).shape == (3, 5, 4)
    )
    np.testing.assert_allclose(F.adjust_brightness(image, 0.5).numpy(), image.numpy() * 0.5, rtol=1e-6)
    np.testing.assert_allclose(F.adjust_saturation(image, 1.0).numpy(), image.numpy(), rtol=1e-6)
    gray = np.tensordot(np.array([0.2989, 0.587, 0.114]), image.numpy(), 1)
    np.testing.assert_allclose(F.rgb_to_grayscale(image).numpy()[0], gray, rtol=1e-5)
    np.testing.assert_allclose(F.adjust_contrast(image, 0.0).numpy(), np.full((3, 12, 9), gray.mean()), rtol=1e-4)
    np.testing.assert_allclose(F.invert(image).numpy(), 1 - image.numpy(), atol=1e-6)
    turned = F.rotate(F.to_tensor(np.arange(25, dtype=np.uint8).reshape(5, 5)), 90).numpy()[0] * 255
    np.testing.assert_allclose(turned, np.rot90(np.arange(25).reshape(5, 5)), atol=1e-3)
    assert F.convert_image_dtype(image, torch.uint8).dtype == torch.uint8
    np.testing.assert_allclose(
        F.convert_image_dtype(F.convert_image_dtype(image, torch.uint8)).numpy(), image.numpy(), atol=1e-6
    )
    with pytest.raises(ValueError, match="std"):
        F.normalize(image, [0.5] * 3, [1.0, 0.0, 1.0])


def test_pil_images_stay_pil_images():
    image = pytest.importorskip("PIL.Image").fromarray(PIXELS)
    for change in (
        transforms.Resize(6),
        transforms.CenterCrop(4),
        transforms.ColorJitter(0.1, 0.1, 0.1, 0.1),
        transforms.Grayscale(),
        transforms.RandomRotation(5),
    ):
        assert type(change(image)).__name__ == "Image"
    np.testing.assert_array_equal(np.asarray(F.to_pil_image(F.to_tensor(image))), PIXELS)
    np.testing.assert_array_equal(F.pil_to_tensor(image).numpy(), PIXELS.transpose(2, 0, 1))
    assert transforms.Grayscale()(image).mode == "L"


def test_cifar_100(tmp_path):
    folder = tmp_path / "cifar-100-binary"
    folder.mkdir()
    rows = np.random.default_rng(0).integers(0, 256, (3, 3074), dtype=np.uint8)
    rows[:, 1] = [7, 0, 99]
    (folder / "test.bin").write_bytes(rows.tobytes())
    data = datasets.CIFAR100(tmp_path, train=False, transform=transforms.ToTensor())
    image, label = data[2]
    assert len(data) == 3 and label == 99 and len(set(data.classes)) == 100 and data.classes[99] == "worm"
    np.testing.assert_allclose(image.numpy(), rows[2, 2:].reshape(3, 32, 32) / 255, rtol=1e-6)
    with pytest.raises(RuntimeError, match=r"train\.bin"):
        datasets.CIFAR100(tmp_path)


@pytest.mark.parametrize(
    ("name", "parameters"), [("resnet18", 11_689_512), ("resnet34", 21_797_672), ("resnet50", 25_557_032)]
)
def test_models_have_the_published_sizes(name, parameters):
    assert sum(p.numel() for p in getattr(models, name)().parameters()) == parameters


class _Small(torch.nn.Linear):
    """In the place of layers that take half a gigabyte."""

    def __init__(self, inputs, outputs):
        super().__init__(1, 1)


def test_models_have_the_usual_names(monkeypatch):
    keys = list(models.resnet18().state_dict())
    assert len(keys) == 122
    assert {
        "conv1.weight",
        "bn1.running_mean",
        "layer1.0.conv1.weight",
        "layer2.0.downsample.0.weight",
        "layer4.1.bn2.num_batches_tracked",
        "fc.bias",
    } <= set(keys)
    monkeypatch.setattr(models.vgg, "Linear", _Small)
    model = models.vgg16()
    assert sum(p.numel() for p in model.features.parameters()) == 14_714_688
    assert {"features.0.weight", "features.28.bias", "classifier.6.bias"} <= set(model.state_dict())
    assert "features.1.running_mean" in models.vgg11_bn().state_dict()
    assert "layer1.0.conv3.weight" in models.resnet50().state_dict()
    with pytest.raises(RuntimeError, match="load_state_dict"):
        models.resnet18(weights="IMAGENET1K_V1")


def test_a_model_trains():
    torch.manual_seed(0)
    model = models.resnet18(num_classes=3)
    x, y = torch.randn(6, 3, 32, 32), torch.tensor([0, 1, 2, 0, 1, 2])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize(
    "name, parameters, entries",  # as torchvision 0.28 counts them
    [
        ("resnet18", 11689512, 122),
        ("resnext50_32x4d", 25028904, 320),
        ("wide_resnet50_2", 68883240, 320),
        ("densenet121", 7978856, 727),
        ("mobilenet_v2", 3504872, 314),
        ("vgg11_bn", 132868840, 62),
    ],
)
def test_models_have_torchvisions_parameters(name, parameters, entries):
    with torch.device("meta"):
        net = getattr(models, name)()
    assert sum(p.numel() for p in net.parameters()) == parameters and len(net.state_dict()) == entries
    with pytest.raises(RuntimeError, match="not downloaded"):
        getattr(models, name)(weights="DEFAULT")


def test_small_models_of_each_kind_run():
    x = torch.ones(2, 3, 32, 32)
    dense = models.densenet.DenseNet(4, (2, 2), 8, num_classes=5, drop_rate=0.1, memory_efficient=True)
    mobile = models.MobileNetV2(5, inverted_residual_setting=[[1, 8, 1, 1], [2, 16, 2, 2]])
    dilated = models.resnet.ResNet(
        models.resnet.Bottleneck, [1, 1, 1, 1], 5, groups=2, width_per_group=4, replace_stride_with_dilation=[0, 1, 1]
    )
    for net in (dense, mobile, dilated):
        net(x).sum().backward()
        assert net.eval()(x).shape == (2, 5) and all(p.grad is not None for p in net.parameters())
    stages = dilated.layer4(dilated.layer3(dilated.layer2(dilated.layer1(torch.ones(1, 64, 8, 8)))))
    assert stages.shape == (1, 2048, 4, 4)  # the last two stages keep the size
    with pytest.raises(ValueError, match="3-element"):
        models.resnet.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1], replace_stride_with_dilation=[False])


def test_pillow_resizes_its_own_images():
    pytest.importorskip("PIL")
    from PIL import Image

    image = Image.fromarray(PIXELS)
    for number, mode in enumerate(("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")):
        found = F.resize(image, [5, 7], transforms.InterpolationMode(mode))
        assert found.size == (7, 5) and found.tobytes() == image.resize((7, 5), number).tobytes()
        assert F.resize(image, [5, 7], number).tobytes() == found.tobytes()
    with pytest.raises(ValueError, match="unsupported with Tensor input"):
        F.resize(torch.ones(3, 4, 4), [2, 2], transforms.InterpolationMode.LANCZOS)


def test_kmnist_is_read_as_mnist(tmp_path):
    folder = tmp_path / "KMNIST" / "raw"
    folder.mkdir(parents=True)
    (folder / "t10k-images-idx3-ubyte").write_bytes(b"\0\0\x08\3" + bytes([0, 0, 0, 1] * 3) + b"\x07")
    (folder / "t10k-labels-idx1-ubyte").write_bytes(b"\0\0\x08\1" + bytes([0, 0, 0, 1]) + b"\x09")
    found = datasets.KMNIST(tmp_path, train=False)
    assert found[0][1] == 9 and found.classes[9] == "wo" and found.data.tolist() == [[[7]]]
