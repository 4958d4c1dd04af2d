"""Stage: ingestion.

Needs: DATA/{cohort}/ledger-{shard}.parquet and the DICOM store beside it; the molecular study (rules/sources.smk).
Makes: R/{cohort}/imaging/shard-{shard}/ (series, phases and masks with the decision on each; volumes and masks on one
grid; contact sheets), R/{cohort}/omics/ (tensor, clinical, mutations, decisions, quality), R/{cohort}/report/data.html.
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
        nifti=directory(f"{SHARD}/nifti"),
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
        code=code_digest("radgen_lib.imaging.ingest"),
    script:
        "../workflow_scripts/read_images.py"


rule read_omics:
    """The molecular study as the portal delivers it, to a patients x genes x omics tensor and tables."""
    input:
        study=lambda w: LAYOUT.study(w.cohort, FILENAMES),
        clinical=lambda w: LAYOUT.clinical(w.cohort, FILENAMES),
    output:
        **{
            Path(name).stem: update(f"{R}/{{cohort}}/omics/{name}")
            for name in OMICS_FILES
        },
    log:
        "logs/read_omics/{cohort}.log",
    benchmark:
        "logs/benchmarks/read_omics/{cohort}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        drivers=list(DRIVERS),
        cohort=lambda w: TREE["cohorts"][w.cohort],
        code=code_digest(
            "radgen_lib.omics.study.local",
            "radgen_lib.omics.study.write",
            "radgen_lib.imaging.pseudonyms",
        ),
    script:
        "../workflow_scripts/read_omics.py"


rule clinical_tables:
    """Clinical features and lesion boxes in the form of the Duke collection, checked column by column."""
    input:
        unpack(lambda w: LAYOUT.duke_tables(w.cohort, FILENAMES)),
    output:
        **{
            name: update(f"{R}/{{cohort}}/clinical/{name}.parquet")
            for name in ("clinical", "boxes", "faults")
        },
    log:
        "logs/clinical_tables/{cohort}.log",
    benchmark:
        "logs/benchmarks/clinical_tables/{cohort}.tsv"
    wildcard_constraints:
        cohort="|".join(filter(LAYOUT.has_duke_tables, CONFIG.cohorts)) or "(?!)",
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        whole=lambda w: w.cohort not in PHANTOMS,
        code=code_digest("radgen_lib.sources.reference.duke"),
    script:
        "../workflow_scripts/clinical_tables.py"


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
    output:
        page=report(
            update(f"{R}/{{cohort}}/report/data.html"),
            category="Report",
            caption="../docs/captions/data.rst",
        ),
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
        code=code_digest(
            "radgen_lib.reporting.data_page",
            "radgen_lib.cohort.ingested",
            files=("reporting/templates",),
        ),
    script:
        "../workflow_scripts/data_page.py"
