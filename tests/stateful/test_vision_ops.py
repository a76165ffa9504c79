"""Operations of torchvision that model libraries take."""

import numpy as np

import fdl.stateful as torch
from fdl.stateful.vision import ops


def test_frozen_batch_norm_is_batch_norm_by_its_buffers():
    torch.manual_seed(0)
    x, frozen = torch.randn(2, 3, 4, 4), ops.misc.FrozenBatchNorm2d(3, eps=1e-3)
    frozen.load_state_dict({name: torch.rand(3) + 0.5 for name in ("weight", "bias", "running_mean", "running_var")})
    f = frozen
    want = torch.nn.functional.batch_norm(x, f.running_mean, f.running_var, f.weight, f.bias, False, 0.1, 1e-3)
    np.testing.assert_allclose(frozen(x).numpy(), want.numpy(), rtol=1e-5, atol=1e-6)
    assert list(frozen.parameters()) == [] and repr(frozen) == "FrozenBatchNorm2d(3, eps=0.001)"
