"""The libraries, in the order of how many people use them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

HERE = Path(__file__).parent
USES, PINS, RECORDED = HERE / "uses", HERE / "pins", HERE / "recorded"


@dataclasses.dataclass(frozen=True)
class Library:
    """A library: the name of its package, whose place fdl takes, and what its use asks for beside it.

    `rtol` holds for all numbers of its uses; `exempt` names uses whose numbers are not compared, with the reason.
    """

    package: str
    face: str
    beside: tuple[str, ...] = ()
    rtol: float = 1e-3
    name: str = ""

    @property
    def stem(self) -> str:
        """The name of its files."""
        return (self.name or self.package).replace("-", "_")

    @property
    def script(self) -> Path:
        """Its uses."""
        return USES / f"use_{self.stem}.py"

    def pins(self) -> list[str]:
        """What its environment holds, each with its version."""
        return (PINS / f"{self.stem}.txt").read_text().split()

    def version(self) -> str:
        """Its version in that environment."""
        of = dict(pin.lower().replace("_", "-").split("==") for pin in self.pins())
        return of[self.package.lower()]

    def recorded(self) -> dict[str, object]:
        """What the real framework gave, by use."""
        return dict(json.loads((RECORDED / f"{self.stem}.json").read_text()))


def _in_place_of_torch(package: str, *beside: str, name: str = "") -> Library:
    return Library(package, "torch", beside, name=name)


def _in_place_of_jax(package: str, *beside: str, name: str = "") -> Library:
    return Library(package, "jax", beside, name=name)


LIBRARIES = (
    _in_place_of_torch("transformers", "accelerate"),
    _in_place_of_torch("safetensors", "packaging"),
    _in_place_of_torch("accelerate"),
    _in_place_of_torch("einops"),
    _in_place_of_torch("peft"),
    _in_place_of_torch("timm", "torchvision", "pillow"),
    _in_place_of_torch("torchmetrics"),
    _in_place_of_torch("lightning"),
    _in_place_of_torch("kornia"),
    _in_place_of_torch("torch-geometric"),
    _in_place_of_torch("tensordict"),
    _in_place_of_torch("x-transformers"),
    _in_place_of_torch("pyro-ppl", name="pyro"),
    _in_place_of_torch("gpytorch"),
    _in_place_of_torch("torchdiffeq"),
    _in_place_of_torch("segmentation-models-pytorch", "torchvision", "pillow", name="segmentation-models"),
    _in_place_of_torch("torchinfo"),
    _in_place_of_torch("monai"),
    _in_place_of_torch("captum"),
    _in_place_of_torch("skorch"),
    _in_place_of_torch("opacus"),
    _in_place_of_torch("zuko"),
    _in_place_of_jax("flax"),
    _in_place_of_jax("jaxtyping", "typeguard<3"),
    _in_place_of_jax("optax"),
    _in_place_of_jax("chex"),
    _in_place_of_jax("equinox", "optax"),
    _in_place_of_jax("dm-haiku", "optax", name="haiku"),
    _in_place_of_jax("jaxopt"),
    _in_place_of_jax("numpyro"),
    _in_place_of_jax("distrax"),
    _in_place_of_jax("diffrax"),
    _in_place_of_jax("blackjax"),
)
