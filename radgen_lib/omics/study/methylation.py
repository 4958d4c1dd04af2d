"""Several methylation probes of a gene as one value, added up while the file streams by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from radgen_lib.omics.study.decisions import BETA_EDGE, Choices

_USUAL_GENES = 1 << 15
_PROMOTER = ("TSS200", "TSS1500", "5'UTR", "1STEXON")


class ProbeMean:
    """Mean of the probes of each gene per patient, missing probes left out; memory grows with genes, not probes.

    ``probes``: how many stand for each gene; ``promoter``: genes with a probe that the file calls promoter;
    ``impossible``: cells that are no beta (counted for M-values), of ``cells`` that are not missing.
    """

    def __init__(self, patients: int, choices: Choices) -> None:
        self._patients, self._choices = patients, choices
        self._codes: dict[str, int] = {}
        # Zeros cost memory only once they are touched.
        self._sums = np.zeros((_USUAL_GENES, patients))
        self._counts = np.zeros((_USUAL_GENES, patients), dtype=np.uint32)
        self.probes: list[int] = []
        self.promoter: set[str] = set()
        self.impossible = self.cells = 0

    def add(self, genes: Sequence[Sequence[str]], descriptions: Sequence[str], values: np.ndarray) -> None:
        """Add probes: the genes of each (a probe may serve several), its description, beta [patients, probes]."""
        pairs = self._wanted(genes, descriptions)
        if not pairs:
            return
        codes = np.array([self._codes.setdefault(gene, len(self._codes)) for _, gene in pairs])
        self._grow()
        order = np.argsort(codes, kind="stable")
        columns = np.array([probe for probe, _ in pairs])[order]
        found, starts, numbers = np.unique(codes[order], return_index=True, return_counts=True)
        there = self._scaled(values)[:, columns].T
        missing = np.isnan(there)
        self._sums[found] += np.add.reduceat(np.where(missing, 0.0, there), starts, axis=0)
        self._counts[found] += np.add.reduceat((~missing).astype(np.uint32), starts, axis=0)
        for code, number in zip(found, numbers, strict=True):
            self.probes[code] += int(number)

    def _wanted(self, genes: Sequence[Sequence[str]], descriptions: Sequence[str]) -> list[tuple[int, str]]:
        """Pairs (probe, gene) that count; a gene's first promoter probe does away with what it had."""
        if self._choices.probes == "all":
            return [(probe, gene) for probe, names in enumerate(genes) for gene in names]
        near = [is_promoter(text) for text in descriptions]
        for gene in {gene for probe, names in enumerate(genes) if near[probe] for gene in names} - self.promoter:
            self.promoter.add(gene)
            if (code := self._codes.get(gene)) is not None:
                self._sums[code], self._counts[code], self.probes[code] = 0, 0, 0
        alone = self._choices.probes == "promoter"
        return [
            (probe, gene)
            for probe, names in enumerate(genes)
            for gene in names
            if near[probe] or not (alone or gene in self.promoter)
        ]

    @property
    def genes(self) -> list[str]:
        """Genes in order of first appearance."""
        return list(self._codes)

    def means(self) -> np.ndarray:
        """Float32 [patients, genes]; NaN where a patient has no probe of the gene."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return (self._sums[: len(self._codes)] / self._counts[: len(self._codes)]).T.astype(np.float32)

    def _scaled(self, beta: np.ndarray) -> np.ndarray:
        if self._choices.methylation == "beta":
            return beta
        outside = (beta < 0) | (beta > 1)
        self.impossible += int(outside.sum())
        self.cells += int((~np.isnan(beta)).sum())
        clipped = np.clip(beta.astype(np.float64), BETA_EDGE, 1 - BETA_EDGE)
        return np.where(outside, np.nan, np.log2(clipped / (1 - clipped)))

    def _grow(self) -> None:
        """Make room for all genes known by now; doubling keeps the number of copies small."""
        self.probes += [0] * (len(self._codes) - len(self.probes))
        have = len(self._sums)
        if len(self._codes) <= have:
            return
        more = max(len(self._codes), 2 * have) - have
        self._sums = np.concatenate([self._sums, np.zeros((more, self._patients))])
        self._counts = np.concatenate([self._counts, np.zeros((more, self._patients), dtype=np.uint32)])


def is_promoter(description: str) -> bool:
    """True when a probe's description names a region around the start of transcription."""
    return any(word in description.upper() for word in _PROMOTER)


def probe_genes(symbol: str) -> list[str]:
    """Genes of a probe: names between semicolons, each once."""
    return list(dict.fromkeys(name.strip() for name in symbol.split(";") if name.strip()))
