"""Names of trained weights, as torchvision has them; they come from the user's files, and nothing is downloaded."""

from __future__ import annotations

import enum
from typing import Any

from fdl.stateful.core.errors import TensorError

__all__ = ["WeightsEnum", "no_weights", "weights_of"]


class WeightsEnum(enum.Enum):
    """Names of trained weights, which are not here: a model that is asked for them says so."""

    @property
    def url(self) -> str:
        """Where torchvision's users find them; nothing is downloaded."""
        return f"https://download.pytorch.org/models/ ({self.value})"


def weights_of(model: str, title: str) -> type[WeightsEnum]:
    """The names of a model's trained weights: the class `title_Weights`."""
    members = {"IMAGENET1K_V1": f"{model}.IMAGENET1K_V1", "DEFAULT": f"{model}.IMAGENET1K_V1"}
    found: Any = WeightsEnum(f"{title}_Weights", members, module=__name__)  # type: ignore[call-arg]
    found.__doc__ = f"Trained weights of {model}, by their names; they come from the user's files."
    return found  # type: ignore[no-any-return]


def no_weights(name: str, weights: Any, pretrained: bool) -> None:
    """RuntimeError where trained weights of a model are asked for."""
    if weights is not None or pretrained:
        raise TensorError(
            f"{name}: trained weights are not downloaded; make the model without, and load a file that you have: "
            f'model = {name}(); model.load_state_dict(torch.load("{name}.pth", weights_only=True))'
        )
