"""Stage: ingestion.

Needs: DATA/{cohort}/ledger-{shard}.parquet and the DICOM store beside it (rules/sources.smk); the tables of
rules/molecular.smk, for the page.
Makes: R/{cohort}/imaging/shard-{shard}/ (series, phases and masks with the decision on each; volumes and masks on one
grid; contact sheets), R/{cohort}/report/data.html, R/{cohort}/imaging/losses.csv where not too much was lost, and
R/{cohort}/imaging/system_c_flow.csv of the cohort that system C drew from.
"""

from pathlib import Path

SHARD = f"{R}/{{cohort}}/imaging/shard-{{shard}}"


rule read_images:
    """DICOM series to phases to volumes on one grid; each series or phase that is left out is a row with its reason."""
    input:
        ledger=f"{DATA}/{{cohort}}/ledger-{{shard}}.parquet",
    output:
        **{Path(name).stem: update(f"{SHARD}/{name}") for name in SHARD_TABLES},
        volumes=update(f"{SHARD}/volumes.npy"),
        mask_volumes=update(f"{SHARD}/masks.npy"),
        sheets=update(f"{SHARD}/contact_sheets.zip"),
        nifti=update(directory(f"{SHARD}/nifti")),
        card=update(f"{SHARD}/card.json"),
    log:
        "logs/read_images/{cohort}-{shard}.log",
    benchmark:
        "logs/benchmarks/read_images/{cohort}-{shard}.tsv"
    conda:
        "../envs/imaging.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        imaging=lambda w: TREE["cohorts"][w.cohort]["imaging"],
        masks=lambda w: listed(LAYOUT.own_masks(w.cohort)),
        code=digest_of("radgen_lib.imaging.ingest", "radgen_lib.sources.ledger"),
    script:
        "../workflow_scripts/read_images.py"


rule data_page:
    """How the data was read: flow, a decision per series, contact sheets, quality of the omics, what was fetched."""
    input:
        **{
            Path(name).stem: lambda w, name=name: LAYOUT.shard_files(w.cohort, name)
            for name in SHARD_TABLES
        },
        ledgers=lambda w: LAYOUT.ledgers(w.cohort),
        sheets=lambda w: LAYOUT.shard_files(w.cohort, "contact_sheets.zip"),
        omics=lambda w: LAYOUT.omics_files(w.cohort),
        sources=lambda w: LAYOUT.registry_files(w.cohort, FILENAMES),
        rest=lambda w: LAYOUT.rest(w.cohort),
    output:
        page=report(
            update(f"{R}/{{cohort}}/report/data.html"),
            category="Report",
            caption="../docs/captions/data.rst",
        ),
        card=update(f"{R}/{{cohort}}/report/data.card.json"),
    log:
        "logs/data_page/{cohort}.log",
    benchmark:
        "logs/benchmarks/data_page/{cohort}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        config=TREE,
        registry=CONFIG.registry,
        code=digest_of("radgen_lib.reporting.data_page", files=("reporting/templates",)),
    script:
        "../workflow_scripts/data_page.py"


rule losses:
    """Stop the run where more is lost than the configuration allows; the page, made before, shows what and why."""
    input:
        page=f"{R}/{{cohort}}/report/data.html",
        ledgers=lambda w: LAYOUT.ledgers(w.cohort),
        phases=lambda w: LAYOUT.shard_files(w.cohort, "phases.parquet"),
        selections=lambda w: LAYOUT.shard_files(w.cohort, "selection.parquet"),
        tables=lambda w: LAYOUT.omics_file(w.cohort, "losses.parquet"),
    output:
        table=update(f"{R}/{{cohort}}/imaging/losses.csv"),
        card=update(f"{R}/{{cohort}}/imaging/losses.card.json"),
    log:
        "logs/losses/{cohort}.log",
    benchmark:
        "logs/benchmarks/losses/{cohort}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        max_excluded_share=lambda w: CONFIG.cohorts[w.cohort].max_excluded_share,
        code=digest_of("radgen_lib.cohort.losses"),
    script:
        "../workflow_scripts/losses.py"


rule system_c_flow:
    """Who of the MR patients is left for system C, step by step: index, headers, expression (PROTOCOLS 1.1)."""
    input:
        phases=lambda w: LAYOUT.shard_files(w.cohort, "phases.parquet"),
        clinical=lambda w: LAYOUT.omics_file(w.cohort, "clinical.parquet"),
    output:
        flow=update(f"{R}/{{cohort}}/imaging/system_c_flow.csv"),
        card=update(f"{R}/{{cohort}}/imaging/system_c_flow.card.json"),
    log:
        "logs/system_c_flow/{cohort}.log",
    benchmark:
        "logs/benchmarks/system_c_flow/{cohort}.tsv"
    wildcard_constraints:
        cohort="|".join(filter(LAYOUT.has_system_c_flow, CONFIG.cohorts)) or "(?!)",
    conda:
        "../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        imaging=lambda w: TREE["cohorts"][w.cohort]["imaging"],
        code=digest_of("radgen_lib.sources.imaging_source"),
    script:
        "../workflow_scripts/system_c_flow.py"
