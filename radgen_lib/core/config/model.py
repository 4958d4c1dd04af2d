"""The whole configuration: the one source of defaults, schema and reference page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from radgen_lib.core.config.base import Block
from radgen_lib.core.config.cohort import Cohort
from radgen_lib.core.config.cpdm import Cpdm
from radgen_lib.core.config.factors import Factors
from radgen_lib.core.config.presets import PRESETS
from radgen_lib.core.config.shipped import shipped_cohorts
from radgen_lib.core.config.sound import name_faults


class Config(Block):
    """Everything a user can set. A preset is laid over these values, what the command line sets over the preset."""

    seed: Annotated[int, Field(ge=0, le=2**31 - 1, description="The one seed; every random number derives from it")] = (
        20230803
    )
    preset: Annotated[
        str, Field(description="Sizes of the run: a name under `presets` (`demo` shows the mechanics, `paper` is real)")
    ] = "demo"
    run: Annotated[
        list[str], Field(min_length=1, description="Cohorts that the named systems and `paper_tables` run on")
    ] = ["phantom"]
    results: Annotated[str, Field(min_length=1, description="Folder of the results")] = "results"
    downloads: Annotated[str, Field(min_length=1, description="Folder of downloaded files")] = "data"
    resume: Annotated[
        str,
        Field(min_length=1, description="Folder of training state; outside the results so that a failed job keeps it"),
    ] = "resume"
    mirror: Annotated[
        str | None, Field(description="Folder searched before the network; RADGEN_MIRROR sets it too")
    ] = None
    registry: Annotated[
        str | None, Field(description="Another registry file of downloads; null: the one that comes with radgen")
    ] = None
    offline: Annotated[bool, Field(description="Never open a connection; files come from the mirror or fail")] = False
    device: Annotated[
        Literal["auto", "cpu", "cuda"], Field(description="auto: an accelerator where there is one; cuda: fail without")
    ] = "auto"
    deterministic: Annotated[
        bool, Field(description="Same bytes on a GPU too: no compile, no mixed precision (a CPU always gives the same)")
    ] = True
    cohorts: Annotated[dict[str, Cohort], Field(min_length=1, description="Cohorts by name")] = shipped_cohorts()
    factors: Annotated[Factors, Field(description="Bayesian tensor factorisation of the omics")] = Factors()
    cpdm: Annotated[Cpdm, Field(description="System B")] = Cpdm()
    presets: Annotated[
        dict[str, dict[str, Any]], Field(description="Values laid over the ones above, by preset name")
    ] = PRESETS

    @model_validator(mode="after")
    def _names_agree(self) -> Config:
        unknown = [name for name in self.run if name not in self.cohorts]
        if unknown:
            raise ValueError(f"run: {unknown} not under cohorts: {sorted(self.cohorts)}")
        names: dict[str, Iterable[str]] = {
            "cohorts": self.cohorts,
            "cpdm.generators": self.cpdm.generators,
            "cpdm.protocols": self.cpdm.protocols,
        }
        faults = [fault for what, block in names.items() for fault in name_faults(what, block)]
        if self.results == self.downloads:
            faults.append(f"results = {self.results!r}: is the folder of the downloads too. Allowed: two folders")
        if faults:
            raise ValueError("; ".join(faults))
        return self
