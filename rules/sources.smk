"""Stage: downloads.

Needs: the registry (radgen_lib/sources/registry.yaml), and the network or a mirror folder.
Makes: DATA/{source}/{filename}, each verified against the registry's SHA-256; DATA/{cohort}/ledger-{shard}.parquet,
one row an image series, whose files lie in DATA/{cohort}/dicom, a store that resumes where a killed job stopped;
DATA/{cohort}/rest.tsv where attributes are asked of the portal; for a phantom DATA/{cohort}/{study,tables,truth}.
"""

from functools import cache

from radgen_lib.core.listing import listing_digest

# Of files that no rule makes: found when a job that reads them is planned, once a plan. Times of folders would not do,
# which do not change when a file in them is written anew.
listed = cache(listing_digest)


rule fetch_source:
    """Fetch one file of the registry: from the mirror folder, else from its pinned address."""
    output:
        file=f"{DATA}/{{source}}/{{filename}}",
    log:
        "logs/fetch_source/{source}/{filename}.log",
    benchmark:
        "logs/benchmarks/fetch_source/{source}/{filename}.tsv"
    retries: 1
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 500 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        registry=CONFIG.registry,
        sha256=lambda wildcards: SOURCES[wildcards.source].sha256,
        code="fetched files are known by their checksum",
    script:
        "../workflow_scripts/fetch_source.py"


rule phantom_tables:
    """Write the phantom's molecular study, clinical tables, and its truth, against which factor_comparison scores."""
    output:
        study=directory(f"{DATA}/{{cohort}}/study"),
        tables=directory(f"{DATA}/{{cohort}}/tables"),
        truth=directory(f"{DATA}/{{cohort}}/truth"),
    log:
        "logs/phantom_tables/{cohort}.log",
    benchmark:
        "logs/benchmarks/phantom_tables/{cohort}.tsv"
    wildcard_constraints:
        cohort="|".join(PHANTOMS) or "(?!)",
    conda:
        "../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        seed=CONFIG.seed,
        phantom=lambda w: TREE["cohorts"][w.cohort]["phantom"],
        code=digest_of("radgen_lib.sources.phantom.write"),
    script:
        "../workflow_scripts/phantom_tables.py"


rule phantom_images:
    """Write the phantom's patients of one shard as DICOM series, patient by patient."""
    output:
        ledger=f"{DATA}/{{cohort}}/ledger-{{shard}}.parquet",
    log:
        "logs/phantom_images/{cohort}-{shard}.log",
    benchmark:
        "logs/benchmarks/phantom_images/{cohort}-{shard}.tsv"
    wildcard_constraints:
        cohort="|".join(PHANTOMS) or "(?!)",
    conda:
        "../envs/imaging.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
        disk_mb=lambda w: LAYOUT.phantom_disk_mb(w.cohort),
    params:
        seed=CONFIG.seed,
        phantom=lambda w: TREE["cohorts"][w.cohort]["phantom"],
        shards=lambda w: len(LAYOUT.shards(w.cohort)),
        code=digest_of("radgen_lib.sources.phantom.write"),
    script:
        "../workflow_scripts/phantom_images.py"


rule fetch_images:
    """Fetch the image series of one shard: a public bucket, TCIA, a PACS, or a folder at hand."""
    input:
        papers=lambda w: LAYOUT.series_list(w.cohort, FILENAMES),
    output:
        ledger=f"{DATA}/{{cohort}}/ledger-{{shard}}.parquet",
    log:
        "logs/fetch_images/{cohort}-{shard}.log",
    benchmark:
        "logs/benchmarks/fetch_images/{cohort}-{shard}.tsv"
    wildcard_constraints:
        cohort="|".join(FETCHED) or "(?!)",
    retries: 1
    conda:
        "../envs/imaging.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 720 * attempt,
    params:
        imaging=lambda w: TREE["cohorts"][w.cohort]["imaging"],
        files=lambda w: listed(LAYOUT.own_images(w.cohort)),
        code=digest_of("radgen_lib.sources.imaging_source"),
    script:
        "../workflow_scripts/fetch_images.py"


rule fetch_rest:
    """Ask cBioPortal's REST service for the clinical attributes that a study's tarball lacks."""
    output:
        table=f"{DATA}/{{cohort}}/rest.tsv",
        card=f"{DATA}/{{cohort}}/rest.card.json",
    log:
        "logs/fetch_rest/{cohort}.log",
    benchmark:
        "logs/benchmarks/fetch_rest/{cohort}.tsv"
    wildcard_constraints:
        cohort="|".join(filter(LAYOUT.rest, CONFIG.cohorts)) or "(?!)",
    retries: 1
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 500 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        asked=lambda w: CONFIG.cohorts[w.cohort].omics.asked,
        endpoint=lambda w: CONFIG.cohorts[w.cohort].omics.endpoint,
        code="what a service says changes without us: it is asked once",
    script:
        "../workflow_scripts/fetch_rest.py"
