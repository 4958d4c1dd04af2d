"""Stage: downloads.

Needs: the registry (radgen_lib/sources/registry.yaml), and the network or a mirror folder.
Makes: DATA/{source}/{filename}, each verified against the registry's SHA-256.
"""


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
