"""What a user may choose about the tensor, and the rules that follow, as the first rows of its decision log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

EXPRESSION, COPY_NUMBER, METHYLATION = "expression", "copy_number", "methylation"
LOGGED = "log2(x+1)"


@dataclass(frozen=True)
class TensorChoices:
    """Choices of :func:`~radgen_lib.omics.btf.tensor.build_tensor`; every one of them is written into the decisions.

    ``genes``: genes that all omics have, or that any has (missing elsewhere). ``gene_list``: only these genes (empty:
    all). ``min_expressed``: share of the patients in whom a gene must be expressed, that is above ``expressed_above``
    on the scale log2(x + 1); a matrix on another scale cannot be filtered so. ``max_genes``: so many of the most
    variable genes (None: all), by their standard deviation in the omic ``variable_in``, or with "all" by the mean of
    their ranks over the omics. ``methylation``: what beta becomes, M-values or itself; M-values stay what they are, and
    which probes a gene has the mean of was decided before (``omics.probes``). ``min_patients``: fewer are refused.
    """

    genes: Literal["intersection", "union"] = "intersection"
    gene_list: tuple[str, ...] = ()
    min_expressed: float = 0.2
    expressed_above: float = 1.0
    max_genes: int | None = None
    variable_in: str = EXPRESSION
    methylation: Literal["m_value", "beta"] = "m_value"
    min_patients: int = 10

    def __post_init__(self) -> None:
        """Refuse choices that mean nothing."""
        if not 0 <= self.min_expressed <= 1:
            raise ValueError(f"min_expressed must be a share between 0 and 1, not {self.min_expressed}")
        if self.max_genes is not None and self.max_genes < 1:
            raise ValueError(f"max_genes must be 1 or more, not {self.max_genes}")
        if self.min_patients < 2:
            raise ValueError(f"min_patients must be 2 or more, not {self.min_patients}")
        allowed = {"genes": ("intersection", "union"), "methylation": ("m_value", "beta")}
        for name, words in allowed.items():
            if getattr(self, name) not in words:
                raise ValueError(f"{name} must be {' or '.join(words)}, not {getattr(self, name)!r}")


def rules(choices: TensorChoices) -> list[tuple[str, str, str]]:
    """The rules (step, rule, reason) that hold for every tensor built with ``choices``."""
    union = choices.genes == "union"
    most = "all" if choices.max_genes is None else f"the {choices.max_genes} most variable in {choices.variable_in}"
    expressed = f"expressed (log2(x + 1) above {choices.expressed_above:g}) in {choices.min_expressed:g} of patients"
    silent = "a gene that is not expressed carries noise into every factor"
    kept = "choice min_expressed = 0: no gene is left out for being silent"
    varying = "choices max_genes, variable_in; decided in the training patients alone"
    return [
        ("gene", "any omic has it, missing elsewhere" if union else "all omics have it", f"genes = {choices.genes}"),
        ("gene", expressed, silent) if choices.min_expressed else ("gene", "expressed or not", kept),
        ("gene", f"of these {most}", "choice max_genes = all" if choices.max_genes is None else varying),
        ("scale", "log2(x + 1) of linear expression; log ratios, z-scores and copy number as they are",
         "the noise of the model is additive and Gaussian"),
        ("scale", f"methylation as {choices.methylation}",
         "choice methylation; of beta, a mean of probes, it is the M-value of that mean. Which probes: row methylation "
         "below, or the decisions of the study; PROTOCOLS 1.3 has promoter-mean M-values, no paper a rule"),
        ("patient", "any omic has the patient, missing elsewhere", "whole missing fibres are exact in the model"),
    ]  # fmt: skip
