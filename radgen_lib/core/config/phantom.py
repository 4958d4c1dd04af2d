"""Configuration of the phantom cohort: how many digital patients, how they are imaged, and what goes wrong."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from radgen_lib.core.config.base import Block

Trouble = Literal[
    "truncated_dicom", "not_dicom", "two_patients_in_one_series", "series_twice", "mixed_orientations",
    "missing_slices", "duplicated_slices", "no_pixel_data", "patient_id_disagrees", "identifying_attributes",
    "gantry_tilt", "uneven_spacing", "phases_in_one_series", "compressed", "multiframe", "signed_rescaled",
    "clinical_without_headers", "mutations_unknown_columns", "windows_line_ends", "not_utf8", "gene_rows_twice",
    "sample_in_one_omic", "empty_matrix", "duplicated_matrix", "sample_swap",
]  # fmt: skip


class Phantom(Block):
    """A digital cohort written in the formats of the real sources, with its truth beside it."""

    patients: Annotated[int, Field(ge=4, le=100_000, description="Patients with MRI")] = 24
    omics_only: Annotated[int, Field(ge=0, le=1_000_000, description="Further patients with omics but no MRI")] = 96
    shape: Annotated[
        list[int],
        Field(
            min_length=3,
            max_length=3,
            description="Slices, rows and columns of an acquired phase, in the acquired orientation",
        ),
    ] = [16, 64, 64]
    post_phases: Annotated[
        int, Field(ge=1, le=8, description="Most post-contrast phases (a patient has it or less)")
    ] = 4
    axial_share: Annotated[
        float, Field(ge=0, le=1, description="Share of patients imaged axially, the rest sagittally")
    ] = 0.25
    second_study_share: Annotated[float, Field(ge=0, le=1, description="Share of patients with a second study")] = 0.15
    motion_mm: Annotated[float, Field(ge=0, le=20, description="Largest shift between phases, mm")] = 2.0
    genes: Annotated[int, Field(ge=60, le=30_000, description="Genes of each omics matrix")] = 300
    factors: Annotated[int, Field(ge=2, le=50, description="Latent factors planted in the omics")] = 6
    noise: Annotated[float, Field(ge=0, description="SD of the noise of an omics entry, signal SD 1")] = 0.7
    missing_share: Annotated[
        float,
        Field(ge=0, le=0.5, description="Share of patients that lack a whole omics matrix, per matrix but expression"),
    ] = 0.05
    troubles: Annotated[list[Trouble], Field(description="Faults that are planted, each once (see docs)")] = []

    @model_validator(mode="after")
    def _shape_is_possible(self) -> Phantom:
        if min(self.shape) < 4 or self.shape[1] != self.shape[2]:
            raise ValueError(f"phantom.shape = {self.shape}: at least 4 each, rows equal to columns")
        return self
