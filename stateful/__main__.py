"""`python -m fdl.stateful script.py [args]`, `-m module` or `-c code`: runs programs of PyTorch as they are, with
`torch` being fdl in this process and in its children.
"""

from __future__ import annotations

import sys

from fdl import alias
from fdl.stateful.alias import install

if __name__ == "__main__":
    install()
    sys.exit(alias.run(sys.argv[1:], "python -m fdl.stateful"))
