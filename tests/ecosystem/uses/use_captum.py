import torch
from captum.attr import (
    DeepLift,
    FeatureAblation,
    GradientShap,
    GuidedBackprop,
    InputXGradient,
    IntegratedGradients,
    LayerConductance,
    LayerGradCam,
    NeuronConductance,
    NoiseTunnel,
    Occlusion,
    Saliency,
)
from torch_common import data, fill, main, use


def net():
    return fill(
        torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(36, 3)
        ),
        0.3,
    ).eval()


X = data(2, 1, 8, 8)


@use("gradients: saliency, integrated, guided, DeepLift")
def gradients():
    model = net()
    found = [Saliency, IntegratedGradients, InputXGradient, GuidedBackprop]
    rows = [kind(model).attribute(X.clone().requires_grad_(), target=1)[0, 0, 0] for kind in found]
    moved, delta = IntegratedGradients(model).attribute(X, X * 0, target=2, return_convergence_delta=True, n_steps=8)
    return rows, moved[1, 0, 1], delta.abs() < 1, DeepLift(model).attribute(X, X * 0, target=0)[0, 0, 0]


@use("perturbations: ablation and occlusion")
def perturbations():
    model = net()
    return (
        FeatureAblation(model).attribute(X, target=1, feature_mask=torch.arange(64).reshape(1, 1, 8, 8) // 16)[
            0, 0, :, 0
        ],
        Occlusion(model).attribute(X, target=1, sliding_window_shapes=(1, 4, 4), strides=(1, 4, 4))[0, 0, ::4, ::4],
    )


@use("layers and neurons")
def layers():
    model = net()
    return (
        LayerGradCam(model, model[0]).attribute(X, target=1)[0, 0, 0],
        LayerConductance(model, model[0]).attribute(X, target=1, n_steps=4)[0, 0, 0],
        NeuronConductance(model, model[0]).attribute(X, (0, 1, 1), target=1, n_steps=4)[0, 0, :3, :3],
    )


@use("noise: SHAP and tunnels")
def noise():
    model = net()
    torch.manual_seed(0)
    return [
        list(GradientShap(model).attribute(X, X * 0, target=1).shape),
        list(NoiseTunnel(Saliency(model)).attribute(X, nt_samples=2, target=1).shape),
    ]


if __name__ == "__main__":
    main()
