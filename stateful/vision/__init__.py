"""Images for examples and tests, in the place of torchvision: datasets from local files, and transforms."""

from fdl.stateful.vision import datasets, transforms, utils

__all__ = ["datasets", "transforms", "utils"]
