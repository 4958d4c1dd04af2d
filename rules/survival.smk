"""Stage: survival.

Needs: what the analyses need (rules/analyses.smk).
Makes: R/{cohort}/cpdm/{protocol}/rows/{survival,survival_search}.parquet and the curves of the Kaplan-Meier figure.
"""


rule survival:
    """Penalised Cox on image features, out of fold, beside the clinical comparator (B.TC, B.F2)."""
    input:
        **PER_PROTOCOL,
        **SAMPLES,
    output:
        rows=update(f"{ROWS}/survival.parquet"),
        csv=update(f"{ROWS}/survival.csv"),
        risks=update(f"{ROWS}/risks.parquet"),
        curves=update(f"{ROWS}/kaplan_meier.parquet"),
        card=update(f"{ROWS}/survival.card.json"),
    log:
        "logs/survival/{cohort}-{protocol}.log",
    benchmark:
        "logs/benchmarks/survival/{cohort}-{protocol}.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        seed=CONFIG.seed,
        protocol=lambda w: CPDM["protocols"][w.protocol],
        runs=lambda w: LAYOUT.run_names(w.cohort, w.protocol),
        survival=CPDM["survival"],
        draws=CPDM["prediction"]["bootstrap"],
        holdouts=CPDM["prediction"]["holdout_seeds"],
        permutations=CPDM["adherence"]["permutations"],
        code=digest_of("radgen_lib.analyses.survival", "radgen_lib.analyses.clusters"),
    script:
        "../workflow_scripts/survival.py"


rule survival_search:
    """The published search over 3,630 settings, and how much of its maximum is chance (B.TC)."""
    input:
        **PER_PROTOCOL,
        **SAMPLES,
    output:
        rows=update(f"{ROWS}/survival_search.parquet"),
        csv=update(f"{ROWS}/survival_search.csv"),
        card=update(f"{ROWS}/survival_search.card.json"),
    log:
        "logs/survival_search/{cohort}-{protocol}.log",
    benchmark:
        "logs/benchmarks/survival_search/{cohort}-{protocol}.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 480 * attempt,
    params:
        seed=CONFIG.seed,
        protocol=lambda w: CPDM["protocols"][w.protocol],
        runs=lambda w: LAYOUT.run_names(w.cohort, w.protocol),
        survival=CPDM["survival"],
        code=digest_of("radgen_lib.analyses.survival_search"),
    script:
        "../workflow_scripts/survival_search.py"
