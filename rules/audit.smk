"""Stage: audits.

Needs: what the analyses need (rules/analyses.smk), prediction rows, and the card of every training job.
Makes: result rows on condition adherence, memorisation and leakage. The leakage rule fails the run when a patient
crosses a split that keeps patients apart.
"""


rule adherence:
    """Does the condition change the image, in the right direction? Six tests (S.ADH)."""
    input:
        **PER_PROTOCOL,
        **SAMPLES,
        prediction=f"{ROWS}/prediction.parquet",
    output:
        rows=update(f"{ROWS}/adherence.parquet"),
        csv=update(f"{ROWS}/adherence.csv"),
        card=update(f"{ROWS}/adherence.card.json"),
    log:
        "logs/adherence/{cohort}-{protocol}.log",
    benchmark:
        "logs/benchmarks/adherence/{cohort}-{protocol}.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        seed=CONFIG.seed,
        protocol=lambda w: CPDM["protocols"][w.protocol],
        runs=lambda w: LAYOUT.run_names(w.cohort, w.protocol),
        permutations=CPDM["adherence"]["permutations"],
        draws=CPDM["prediction"]["bootstrap"],
        code=digest_of("radgen_lib.audit.adherence"),
    script:
        "../workflow_scripts/adherence.py"


rule memorisation:
    """Are generated images copies of training images? (S.PRIV, B-W13)."""
    input:
        **PER_PROTOCOL,
        **SAMPLES,
        cards=lambda w: LAYOUT.run_files(w.cohort, w.protocol, "card.json"),
    output:
        rows=update(f"{ROWS}/memorisation.parquet"),
        csv=update(f"{ROWS}/memorisation.csv"),
        pairs=update(f"{ROWS}/nearest_pairs.parquet"),
        card=update(f"{ROWS}/memorisation.card.json"),
    log:
        "logs/memorisation/{cohort}-{protocol}.log",
    benchmark:
        "logs/benchmarks/memorisation/{cohort}-{protocol}.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        seed=CONFIG.seed,
        protocol=lambda w: CPDM["protocols"][w.protocol],
        runs=lambda w: LAYOUT.run_names(w.cohort, w.protocol),
        draws=CPDM["prediction"]["bootstrap"],
        code=digest_of("radgen_lib.audit.memorisation"),
    script:
        "../workflow_scripts/memorisation.py"


rule leakage:
    """Compare every split, endpoint split and fit's training patients; fail where a patient crosses (S.LEAK)."""
    input:
        splits=f"{R}/{{cohort}}/splits/splits.parquet",
        endpoint_splits=f"{R}/{{cohort}}/splits/endpoint_splits.parquet",
        genes15=f"{R}/{{cohort}}/cohort/genes15.parquet",
        factors17=f"{R}/{{cohort}}/cohort/factors17.parquet",
        factors=lambda w: FACTORS.wanted(w.cohort, w.protocol, "factors.parquet"),
        factor_splits=lambda w: [
            f"{FACTORS.base(w.cohort)}/splits.parquet"
            for _ in FACTORS.wanted(w.cohort, w.protocol)
        ],
        models=lambda w: [
            folder
            for _ in FACTORS.wanted(w.cohort, w.protocol)
            for folder in FACTORS.fits(w.cohort, "models")
        ],
        cards=lambda w: LAYOUT.run_files(w.cohort, w.protocol, "card.json"),
    output:
        rows=update(f"{ROWS}/leakage.parquet"),
        csv=update(f"{ROWS}/leakage.csv"),
        card=update(f"{ROWS}/leakage.card.json"),
    log:
        "logs/leakage/{cohort}-{protocol}.log",
    benchmark:
        "logs/benchmarks/leakage/{cohort}-{protocol}.tsv"
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
        code=digest_of("radgen_lib.audit.leakage", "radgen_lib.audit.factor_leakage"),
    script:
        "../workflow_scripts/leakage.py"


rule leakage_ablation:
    """What each leak is worth: split unit and fit scope against the clean evaluation (S.LEAK)."""
    input:
        **COHORT,
        real=f"{R}/{{cohort}}/cpdm/rigorous/real_features.parquet",
    output:
        rows=update(f"{R}/{{cohort}}/cpdm/rows/leakage_ablation.parquet"),
        csv=update(f"{R}/{{cohort}}/cpdm/rows/leakage_ablation.csv"),
        card=update(f"{R}/{{cohort}}/cpdm/rows/leakage_ablation.card.json"),
    log:
        "logs/leakage_ablation/{cohort}.log",
    benchmark:
        "logs/benchmarks/leakage_ablation/{cohort}.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        seed=CONFIG.seed,
        draws=CPDM["prediction"]["bootstrap"],
        scaling=lambda w: CPDM["protocols"]["rigorous"]["condition_scaling"],
        condition_log=lambda w: CPDM["protocols"]["rigorous"]["condition_log"],
        code=digest_of("radgen_lib.analyses.leakage_ablation"),
    script:
        "../workflow_scripts/leakage_ablation.py"
