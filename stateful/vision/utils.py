"""`torchvision.utils`: images side by side, and into a file."""

from fdl.stateful.utils.images import make_grid, save_image

__all__ = ["make_grid", "save_image"]
