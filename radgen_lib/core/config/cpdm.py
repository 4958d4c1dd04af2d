"""Configuration of system B (CPDM): protocols with one switch per weakness B-W01..B-W13, generators, analyses."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from radgen_lib.core.config.analyses import Adherence, Sampling
from radgen_lib.core.config.analyses import Prediction as Prediction
from radgen_lib.core.config.analyses import Survival as Survival
from radgen_lib.core.config.base import Block

GENES = (
    "TNNI2", "CCDC88B", "CYBA", "ASB2", "LTB", "S1PR4", "PSTPIP1", "CD6", "CD27", "WNT10A", "NAPSB", "CD79A",
    "ADAMTS8", "CPNE7", "TPSAB1",
)  # fmt: skip
RESERVED = frozenset({"PC1", "all"})  # tasks of S.ADH: the common direction, and the mean over the variables
Extractor = Literal["radiomics", "vgg16", "resnet50", "inception", "radimagenet"]
Design = Literal["published_split", "published_folds", "grouped", "site", "full"]
Condition = Literal["genes15", "factors17", "factors"]
FoldsPerJob = Annotated[int, Field(ge=1)] | Literal["all"]


class GeneratorBlock(Block):
    """A generator: its class and the options that the class itself validates."""

    class_path: Annotated[
        str, Field(alias="class", pattern=r"^[\w.]+:\w+$", description="package.module:ClassName")
    ] = "radgen_lib.generators.baselines:MeanImage"
    options: Annotated[dict[str, Any], Field(description="Checked by the class")] = {}
    folds_per_job: Annotated[
        FoldsPerJob | None, Field(description="Folds that one job of it takes; null: as `cpdm.folds_per_job`")
    ] = None


class Protocol(Block):
    """One way to run the system; each switch named W.. undoes or keeps one weakness of the published study."""

    designs: Annotated[list[Design], Field(min_length=1, description="Splits that generators are trained on")]
    conditions: Annotated[list[Condition], Field(min_length=1, description="What images are conditioned on")]
    generators: Annotated[list[str], Field(min_length=1, description="Names of blocks under `generators`")]
    on_factors: Annotated[
        list[str], Field(description="Those of them that are trained on condition `factors` (one fit a fold) too")
    ] = []
    primary: Annotated[str, Field(description="Generator of the shuffled-condition arm and the headline rows")]
    split_unit: Annotated[
        Literal["image", "patient"],
        Field(description="B-W01 what averages and audits keep apart; folds come from `designs`"),
    ]
    frechet_headline: Annotated[
        Literal["pixelrow_best_of_draws", "kid"], Field(description="B-W02 the number called FID in the summary")
    ]
    condition_scaling: Annotated[
        Literal["per_patient_minmax", "cohort_zscore"], Field(description="B-W03 scaling of the condition")
    ]
    condition_log: Annotated[bool, Field(description="B-W03 log2(x + 1) of the genes' expression before that scaling")]
    start_noise: Annotated[
        Literal["random_linear", "standard"], Field(description="B-W04 start of sampling of the published model")
    ]
    clamp_images: Annotated[bool, Field(description="B-W05 generated images are clamped to [0, 1]")]
    radiomics_binning: Annotated[
        Literal["width25", "count32"],
        Field(description="B-W05 grey levels of texture: one bin of width 25, or 32 bins"),
    ]
    encoder_preprocessing: Annotated[
        Literal["vgg_for_all", "per_network"], Field(description="B-W05 input scaling of the encoder networks")
    ]
    fit_scope: Annotated[
        Literal["all", "train"], Field(description="B-W06 patients that scaler and PCA of the features are fitted on")
    ]
    evaluation: Annotated[
        Literal["holdout10", "nested_cv"], Field(description="B-W07 random 10 % test, or repeated nested folds")
    ]
    threshold_from: Annotated[Literal["test", "train"], Field(description="B-W07 where the F1 threshold is chosen")]
    survival_selection: Annotated[
        Literal["best_on_test", "prespecified"], Field(description="B-W08 how Cox settings are chosen")
    ]
    survival_components: Annotated[
        int | None, Field(ge=1, le=100, description="B-W09 principal components in Cox; null: 95 % of variance")
    ]
    circular_labels: Annotated[
        Literal["as_is", "flag"], Field(description="B-W10 stamp endpoints that are functions of the condition")
    ]
    test_on: Annotated[
        list[Literal["real", "synthetic"]],
        Field(min_length=1, description="B-W11 images that predictions are tested on"),
    ]
    batch_size: Annotated[int, Field(ge=1, le=256, description="B-W12 training batch of the diffusion models")]
    memorisation_audit: Annotated[bool, Field(description="B-W13 nearest-training-image audit")]


AS_PUBLISHED = Protocol(
    designs=["published_split", "published_folds"], conditions=["genes15", "factors17"], generators=["cpdm", "vae"],
    primary="cpdm", split_unit="image", frechet_headline="pixelrow_best_of_draws",
    condition_scaling="per_patient_minmax", condition_log=False, start_noise="random_linear", clamp_images=False,
    radiomics_binning="width25", encoder_preprocessing="vgg_for_all", fit_scope="all", evaluation="holdout10",
    threshold_from="test", survival_selection="best_on_test", survival_components=None, circular_labels="as_is",
    test_on=["synthetic"], batch_size=6, memorisation_audit=True,
)  # fmt: skip
RIGOROUS = Protocol(
    designs=["grouped", "site", "full"], conditions=["genes15", "factors"],
    generators=["cpdm", "edm", "vae", "pca_ridge", "nearest", "mean", "untrained", "noise"],
    on_factors=["edm", "pca_ridge", "nearest"], primary="edm",
    split_unit="patient", frechet_headline="kid", condition_scaling="cohort_zscore", condition_log=True,
    start_noise="standard", clamp_images=True, radiomics_binning="count32", encoder_preprocessing="per_network",
    fit_scope="train", evaluation="nested_cv", threshold_from="train", survival_selection="prespecified",
    survival_components=2, circular_labels="flag", test_on=["real", "synthetic"], batch_size=6,
    memorisation_audit=True,
)  # fmt: skip


def _generator(name: str, **options: Any) -> GeneratorBlock:
    """A block; what is not trained takes all folds in one job: each takes less than the start of a job of its own."""
    quick = {"folds_per_job": "all"} if name.startswith("baselines:") or name.endswith(":UntrainedDiffusion") else {}
    return GeneratorBlock.model_validate({"class": f"radgen_lib.generators.{name}", "options": options, **quick})


GENERATORS = {
    "cpdm": _generator("cpdm:PublishedDiffusion", width=128, timesteps=1500, loss="l2", epochs=1100),
    # 50 steps of dpm_sde draw what 1,500 ancestral ones do; 18 of heun do not (docs/results).
    "edm": _generator(
        "edm:EDMDiffusion", channels=[64, 128, 256, 256], epochs=1100, sampler="dpm_sde", sampling_steps=50
    ),
    "vae": _generator("vae:PublishedVAE", epochs=70, batch_size=27),
    "pca_ridge": _generator("baselines:PCARidge"),
    "nearest": _generator("baselines:NearestPatient"),
    "mean": _generator("baselines:MeanImage"),
    "untrained": _generator(
        "edm:UntrainedDiffusion", channels=[64, 128, 256, 256], sampler="dpm_sde", sampling_steps=50
    ),
    "noise": _generator("baselines:UniformNoise"),
}

CLEAN = {
    "split_unit": "patient",
    "fit_scope": "train",
    "threshold_from": "train",
    "evaluation": "nested_cv",
    "survival_selection": "prespecified",
}


class Cpdm(Block):
    """System B: conditional diffusion of sagittal projections from omics."""

    genes: Annotated[
        list[str], Field(min_length=1, description="Condition `genes15`; columns of the expression table")
    ] = list(GENES)
    folds_per_job: Annotated[FoldsPerJob, Field(description="Folds that one training job takes, or `all`")] = 1
    encoders: Annotated[list[Extractor], Field(description="Feature spaces beside radiomics that are tried")] = [
        "vgg16", "resnet50", "inception", "radimagenet",
    ]  # fmt: skip
    weights: Annotated[str | None, Field(description="Folder with downloaded encoder weights")] = None
    protocols: Annotated[
        dict[str, Protocol], Field(min_length=1, description="Ways to run the system; further mixtures may be added")
    ] = {"as_published": AS_PUBLISHED, "rigorous": RIGOROUS}
    generators: Annotated[
        dict[str, GeneratorBlock], Field(min_length=1, description="Generators by name; add your own here")
    ] = GENERATORS
    sampling: Annotated[Sampling, Field(description="Images drawn")] = Sampling()
    prediction: Annotated[Prediction, Field(description="Clinical prediction")] = Prediction()
    survival: Annotated[Survival, Field(description="Survival")] = Survival()
    adherence: Annotated[Adherence, Field(description="Condition adherence")] = Adherence()

    @model_validator(mode="after")
    def _names_agree(self) -> Cpdm:
        for name, protocol in self.protocols.items():
            unknown = [g for g in protocol.generators if g not in self.generators]
            if unknown:
                raise ValueError(
                    f"protocols.{name}.generators: {unknown} not under generators: {sorted(self.generators)}"
                )
            if protocol.primary not in protocol.generators:
                raise ValueError(f"protocols.{name}.primary: {protocol.primary!r} is not among its generators")
        unknown = [g for g in self.adherence.response_generators if g not in self.generators]
        if unknown:
            raise ValueError(
                f"adherence.response_generators: {unknown} not under generators: {sorted(self.generators)}"
            )
        self._rigorous_stays_clean()
        if len(set(self.genes)) != len(self.genes):
            raise ValueError("genes: a gene is named twice")
        if taken := RESERVED & set(self.genes):
            raise ValueError(f"genes: {min(taken)!r} names rows of S.ADH that are of no single gene. Rename the column")
        return self

    def _rigorous_stays_clean(self) -> None:
        """Nothing that leaks may carry the name `rigorous`; a mixture of switches is a protocol of its own name."""
        protocol = self.protocols.get("rigorous")
        if protocol is None:
            return
        if "factors17" in protocol.conditions:
            raise ValueError("protocols.rigorous.conditions: factors17 were fitted on all patients: as_published only")
        published = [d for d in protocol.designs if d.startswith("published_")]
        if published:
            raise ValueError(f"protocols.rigorous.designs: {published} put patients on both sides of the split")
        for switch, clean in CLEAN.items():
            if getattr(protocol, switch) != clean:
                raise ValueError(
                    f"protocols.rigorous.{switch} = {getattr(protocol, switch)!r}: leaks, {clean!r} is allowed. "
                    "Give a mixture of switches a name of its own under protocols"
                )
