"""Gene symbols of the phantom: real ones first (drivers, PAM50, immune, stromal, ... genes), then marked inventions."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pandas as pd

GENES_FILE = Path(__file__).with_name("genes.csv")
INVENTED = "PHANTOM"
"""Beginning of the symbols that no real gene has."""


@cache
def real_genes() -> pd.DataFrame:
    """Real genes, indexed by approved symbol: entrez and group (biology).

    Symbols and numbers are those of HGNC and NCBI Gene; entrez is "" for genes whose number is not listed. Raises
    ValueError where a symbol stands twice.
    """
    table = pd.read_csv(GENES_FILE, dtype=str, keep_default_na=False).set_index("symbol")
    if not table.index.is_unique:
        raise ValueError(f"{GENES_FILE.name} holds a symbol twice")
    return table


def gene_symbols(count: int) -> tuple[str, ...]:
    """``count`` symbols: real ones in the order of the list, beyond it ``PHANTOM00001``, ``PHANTOM00002``, ..."""
    real = list(real_genes().index[:count])
    return tuple(real + [f"{INVENTED}{i + 1:05d}" for i in range(count - len(real))])


def is_invented(symbol: str) -> bool:
    """True for a symbol that no real gene has."""
    return symbol.startswith(INVENTED)


def entrez_ids(symbols: tuple[str, ...]) -> list[str]:
    """NCBI gene numbers as text, "" where none is listed (the portal's files may leave it empty)."""
    known = real_genes()["entrez"].to_dict()
    return [known.get(symbol, "") for symbol in symbols]


def gene_groups(symbols: tuple[str, ...]) -> list[str]:
    """Biological group of each symbol: luminal, basal, proliferation, her2, immune, stroma, vascular or other."""
    known = real_genes()["group"].to_dict()
    return [known.get(symbol, "other") for symbol in symbols]
