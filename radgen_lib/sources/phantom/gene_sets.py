"""Gene sets of the phantom, laid out as the KEGG file is: sets that its factors move, and as many that nothing moves.

With them the enrichment of a phantom's factors can be judged: the first kind is to be found, the second is not.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from radgen_lib.core.atomic import write_text
from radgen_lib.core.seeds import make_rng
from radgen_lib.sources.phantom.factors import factor_names

if TYPE_CHECKING:
    from radgen_lib.sources.phantom.truth import Truth

GENE_SETS_FILE = "gene_sets.tsv"
PLANTED, RANDOM = "PHANTOM", "RANDOM"
STRONG = 0.5
"""Loadings from here on make a gene a member: those of the factor itself, not the weak second ones of others."""
_ENDS = {"UP": 1.0, "DOWN": -1.0}


def gene_sets(truth: Truth, seed: int) -> dict[str, list[str]]:
    """Name -> genes in the order of the matrices.

    ``PHANTOM_<FACTOR>_UP`` and ``_DOWN`` hold the genes whose loading on the factor is at least 0.5 or at most -0.5
    (no set where there is none); ``RANDOM_<FACTOR>_...`` are as many of the same sizes, drawn from all genes.
    """
    genes = np.array(truth.genes, dtype=object)
    loadings = truth.loadings["genes"]
    planted = {
        f"{factor.upper()}_{end}": genes[sign * column >= STRONG]
        for factor, column in zip(factor_names(loadings.shape[1]), loadings.T, strict=True)
        for end, sign in _ENDS.items()
    }
    found = {f"{PLANTED}_{name}": members.tolist() for name, members in planted.items() if len(members)}
    rng = make_rng(seed, "phantom", "gene sets")
    for name, members in planted.items():
        if len(members):
            places = np.sort(rng.choice(len(genes), len(members), replace=False))
            found[f"{RANDOM}_{name}"] = genes[places].tolist()
    return found


def write_gene_sets(truth: Truth, path: Path, *, seed: int) -> None:
    """Write :func:`gene_sets` tab-separated, a column a set with its name at the head, padded with ``NA``."""
    sets = gene_sets(truth, seed)
    longest = max(len(members) for members in sets.values())
    columns = [[name, *members, *["NA"] * (longest - len(members))] for name, members in sets.items()]
    write_text(path, "".join("\t".join(cells) + "\n" for cells in zip(*columns, strict=True)))
