"""All randomness derives from one seed and the names of what uses it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def derive_seed(root: int, *names: object) -> int:
    """Return a seed in [0, 2**31) that depends on ``root`` and on every name, and on nothing else.

    Two different name lists give unrelated seeds, so that adding a fold or a generator moves no other number.
    """
    text = "\x1f".join([str(root), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") & 0x7FFFFFFF


def make_rng(root: int, *names: object) -> np.random.Generator:
    """Return a NumPy generator seeded by :func:`derive_seed`."""
    import numpy as np

    return np.random.default_rng(derive_seed(root, *names))
