"""Images for examples and tests, in the place of torchvision: datasets from local files, models, and transforms."""

from fdl.stateful.vision import datasets, models, ops, transforms, utils

__all__ = ["datasets", "models", "ops", "transforms", "utils"]
