"""`python -m tests.stateful.lines [FAMILY ...]`, from the repository's root, where torch is installed."""

import torch

from tests.stateful.lines import main

main(torch)
