"""Configuration of the Bayesian tensor factorisation of the omics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from radgen_lib.core.config.base import Block

Method = Literal["gibbs", "variational"]
Peer = Literal["cp_als", "mofa", "pca", "single"]


class PublishedFactors(Block):
    """The factorisation as the papers ran it (tensorBF): one noise for all omics, last draw, no centring."""

    components: Annotated[
        int, Field(ge=1, le=200, description="Components at the start; the sampler may switch some off")
    ] = 17
    burn_in: Annotated[int, Field(ge=10, description="Sweeps before the first stored draw")] = 5000
    draws: Annotated[int, Field(ge=1, description="Stored draws, ten sweeps apart; the last is the result")] = 50


class Factors(Block):
    """Omics factors: patients x genes x omics, factorised on the training patients of each fold."""

    genes: Annotated[list[str] | None, Field(description="Only these genes; null: the most variable")] = None
    max_genes: Annotated[int | None, Field(ge=10, description="Most variable genes that are kept; null: all")] = 5000
    components: Annotated[int, Field(ge=1, le=200, description="Components to start from; spare ones switch off")] = 25
    method: Annotated[Method, Field(description="gibbs: sampled chains; variational: faster, narrower intervals")] = (
        "gibbs"
    )
    chains: Annotated[int, Field(ge=1, le=16, description="Chains of each fit")] = 2
    burn_in: Annotated[int, Field(ge=10, description="Sweeps of a chain before its first stored draw")] = 1000
    draws: Annotated[int, Field(ge=10, description="Stored draws of a chain")] = 100
    thin: Annotated[int, Field(ge=1, description="Sweeps from one stored draw to the next")] = 5
    max_sweeps: Annotated[
        int, Field(ge=20, description="variational: most sweeps of a fit, which ends when its bound settles")
    ] = 2000
    tolerance: Annotated[
        float, Field(gt=0, lt=1, description="Settled: the bound rises by less in ten sweeps, in nats a measured entry")
    ] = 2e-4
    noise: Annotated[Literal["per_omic", "global"], Field(description="Noise precision: one an omic, or one")] = (
        "per_omic"
    )
    sparsity: Annotated[
        float | None, Field(gt=0, description="Degrees of freedom of a gene's loading, small: sparse; null: Gaussian")
    ] = 1.0
    folds: Annotated[int, Field(ge=2, le=20, description="Folds over all patients of the tensor, for predictions")] = 5
    repeats: Annotated[int, Field(ge=1, le=50, description="Times those folds are drawn again")] = 3
    folds_per_job: Annotated[
        Annotated[int, Field(ge=1)] | Literal["all"], Field(description="Folds that one job factorises, or `all`")
    ] = 5
    on_accelerator: Annotated[
        bool, Field(description="Fit where `device` says, worth it from some thousand genes; else on the CPU")
    ] = False
    seeds: Annotated[int, Field(ge=2, le=50, description="Fits on the whole cohort that judge stability")] = 10
    hidden_share: Annotated[
        float, Field(gt=0, lt=0.5, description="Share of measured entries hidden to score their prediction")
    ] = 0.05
    rank_grid: Annotated[
        list[Annotated[int, Field(ge=1, le=200)]],
        Field(max_length=20, description="Numbers of components whose held-out density is drawn, ascending; []: none"),
    ] = [5, 10, 17, 25, 40]
    peers: Annotated[list[Peer], Field(description="Other factorisations in the same table")] = [
        "cp_als", "mofa", "pca", "single",
    ]  # fmt: skip
    published: Annotated[PublishedFactors, Field(description="`as_published`")] = PublishedFactors()

    @classmethod
    def part(cls, values: Mapping[str, Any]) -> Factors:
        """Checked settings that know the keys of ``values`` alone: reading another one raises AttributeError.

        For a job that is given only what it reads, so that no default stands in for what was configured.
        """
        found = cls(**values)
        for name in cls.model_fields.keys() - values.keys():
            del found.__dict__[name]
        return found

    @model_validator(mode="after")
    def _ascending(self) -> Factors:
        if self.rank_grid != sorted(set(self.rank_grid)):
            raise ValueError(f"factors.rank_grid = {self.rank_grid}: ascending numbers are allowed, each once")
        return self
