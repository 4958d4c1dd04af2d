"""Stage: cohort.

Needs: the released files of the authors and the portal's patient file (rules/sources.smk); or what ingestion read
(rules/ingestion.smk).
Makes: R/{cohort}/cohort/{patients,series,selection,genes15,factors17}.parquet and images.npy: who is in, who is out
and why; R/{cohort}/splits/*.parquet: every split, by patient, as a file that each fit reads.
"""

RELEASED_FILES = {
    "btf_features": "btf_features",
    "side_view_index": "side_view_index",
    "side_png": "side_png",
    "gene_expression": "gene_expression",
    "mutations": "mutations",
    "receptors": "receptors",
    "subgroups": "subgroups",
    "survival_a": "survival_a",
    "survival_b": "survival_b",
    "clinical": "clinical",
}


rule cohort_tables:
    """Read what was released; each patient, series or sample that is left out is a row with its reason."""
    input:
        **{
            key: f"{DATA}/{name}/{SOURCES[name].filename}"
            for key, name in RELEASED_FILES.items()
        },
    output:
        **{
            name: update(f"{R}/{{cohort}}/cohort/{name}.parquet")
            for name in COHORT_FILES
        },
        images=update(f"{R}/{{cohort}}/cohort/images.npy"),
        patients_csv=update(f"{R}/{{cohort}}/cohort/patients.csv"),
        selection_csv=update(f"{R}/{{cohort}}/cohort/selection.csv"),
        card=update(f"{R}/{{cohort}}/cohort/card.json"),
    log:
        "logs/cohort_tables/{cohort}.log",
    benchmark:
        "logs/benchmarks/cohort_tables/{cohort}.tsv"
    wildcard_constraints:
        cohort="|".join(RELEASED) or "(?!)",
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        seed=CONFIG.seed,
        genes=CPDM["genes"],
        max_excluded_share=lambda wildcards: CONFIG.cohorts[
            wildcards.cohort
        ].max_excluded_share,
        code=digest_of("radgen_lib.cohort.released"),
    script:
        "../workflow_scripts/cohort_tables.py"


rule cohort_from_ingestion:
    """Join what was read from DICOM series and the molecular study into the same tables as a released cohort's."""
    input:
        losses=f"{R}/{{cohort}}/imaging/losses.csv",
        phases=lambda w: LAYOUT.shard_files(w.cohort, "phases.parquet"),
        volumes=lambda w: LAYOUT.shard_files(w.cohort, "volumes.npy"),
        selections=lambda w: LAYOUT.shard_files(w.cohort, "selection.parquet"),
        omics=lambda w: LAYOUT.omics_files(w.cohort),
        subgroups=lambda w: LAYOUT.subgroups(w.cohort, FILENAMES),
    output:
        **{
            name: update(f"{R}/{{cohort}}/cohort/{name}.parquet")
            for name in COHORT_FILES
        },
        images=update(f"{R}/{{cohort}}/cohort/images.npy"),
        patients_csv=update(f"{R}/{{cohort}}/cohort/patients.csv"),
        selection_csv=update(f"{R}/{{cohort}}/cohort/selection.csv"),
        card=update(f"{R}/{{cohort}}/cohort/card.json"),
    log:
        "logs/cohort_from_ingestion/{cohort}.log",
    benchmark:
        "logs/benchmarks/cohort_from_ingestion/{cohort}.tsv"
    wildcard_constraints:
        cohort="|".join([*PHANTOMS, *FETCHED]) or "(?!)",
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        seed=CONFIG.seed,
        genes=CPDM["genes"],
        cohort=lambda w: TREE["cohorts"][w.cohort],
        code=digest_of("radgen_lib.cohort.ingested"),
    script:
        "../workflow_scripts/cohort_from_ingestion.py"


rule splits:
    """Draw every split once, by patient, stratified and repeated; the published ones too."""
    input:
        patients=f"{R}/{{cohort}}/cohort/patients.parquet",
        series=f"{R}/{{cohort}}/cohort/series.parquet",
    output:
        images=update(f"{R}/{{cohort}}/splits/splits.parquet"),
        endpoints=update(f"{R}/{{cohort}}/splits/endpoint_splits.parquet"),
        card=update(f"{R}/{{cohort}}/splits/card.json"),
    log:
        "logs/splits/{cohort}.log",
    benchmark:
        "logs/benchmarks/splits/{cohort}.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        seed=CONFIG.seed,
        # Further trainings are no folds of the file: their number is no reason to draw it again.
        splits=lambda wildcards: {
            name: value
            for name, value in TREE["cohorts"][wildcards.cohort]["splits"].items()
            if name != "trainings"
        },
        stand_in=lambda wildcards: not CONFIG.cohorts[wildcards.cohort].takes_papers,
        tasks=[*CPDM["prediction"]["tasks"], "survival", "survival_subgroup"],
        code=digest_of("radgen_lib.cohort.splits"),
    script:
        "../workflow_scripts/splits.py"
