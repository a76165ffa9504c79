import kornia as K
import torch
from torch_common import data, main, use

X = data(2, 3, 16, 16).sigmoid()


@use("filters, colours, edges")
def filters():
    return [
        y[0, ..., 3, ::4]
        for y in (
            K.filters.gaussian_blur2d(X, (3, 3), (1.0, 1.0)),
            K.filters.sobel(X),
            K.filters.median_blur(X, (3, 3)),
            K.color.rgb_to_grayscale(X),
            K.color.rgb_to_hsv(X),
            K.color.rgb_to_lab(X),
            K.filters.canny(X)[0],
            K.enhance.adjust_contrast(X, 1.5),
            K.enhance.equalize(X),
            K.morphology.dilation(X, torch.ones(3, 3)),
            K.color.rgb_to_ycbcr(X),
            K.filters.laplacian(X, 3),
            K.filters.bilateral_blur(X, 3, 0.1, (1.0, 1.0)),
        )
    ]


@use("geometry: warps, rotations, homographies")
def geometry():
    corners = torch.tensor([[[0.0, 0.0], [15.0, 0.0], [15.0, 15.0], [0.0, 15.0]]]).repeat(2, 1, 1)
    moved = corners + torch.tensor([[[1.0, 2.0], [-1.0, 1.0], [-2.0, -1.0], [1.0, -1.0]]])
    h = K.geometry.transform.get_perspective_transform(corners, moved)
    return (
        h,
        K.geometry.transform.warp_perspective(X, h, (16, 16))[0, 0, 4],
        K.geometry.transform.rotate(X, torch.tensor([30.0, 10.0]))[0, 0, 4],
        K.geometry.conversions.axis_angle_to_rotation_matrix(data(2, 3)),
        K.geometry.transform.resize(X, 8)[0, 0, 0],
        K.geometry.find_homography_dlt(corners, moved),
    )


@use("augmentations with a gradient")
def augmentations():
    torch.manual_seed(0)
    chain = K.augmentation.AugmentationSequential(
        K.augmentation.RandomHorizontalFlip(p=1.0),
        K.augmentation.Normalize(torch.zeros(3), torch.ones(3) * 2),
        data_keys=["input", "mask"],
    )
    x = X.clone().requires_grad_()
    y, mask = chain(x, X[:, :1])
    y.square().sum().backward()
    jitter = K.augmentation.ColorJitter(0.1, 0.1, 0.1, 0.1, p=1.0)(X)
    affine = K.augmentation.RandomAffine(15.0, p=1.0)(X)
    return y[0, 0, 0], mask[0, 0, 0], x.grad[0, 0, 0], list(jitter.shape), list(affine.shape)


@use("losses and features")
def losses():
    return (
        K.losses.ssim_loss(X, X.flip(0), 5),
        K.losses.total_variation(X),
        K.losses.psnr_loss(X, X * 0.9, 1.0),
        K.losses.dice_loss(data(2, 3, 4, 4), torch.ones(2, 4, 4).long()),
        K.losses.focal_loss(data(2, 3), torch.tensor([0, 1]), 0.5),
        K.feature.harris_response(X)[0, 0, 3],
    )


if __name__ == "__main__":
    main()
