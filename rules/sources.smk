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
    params:
        mirror=CONFIG.mirror,
        offline=CONFIG.offline,
        registry=CONFIG.registry,
        code="1",
    threads: 1
    retries: 1
    resources:
        mem_mb=lambda wildcards, attempt: 500 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/fetch_source.py"
