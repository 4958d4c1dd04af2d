"""Stage: what the factors mean.

Needs: the tensor, its splits and fits (rules/factors.smk); labels (rules/factor_labels.smk); gene sets (sources.smk).
Makes: R/{cohort}/factors/{stability,rank,comparison,genes,enrichment,associations}.parquet, of which
rules/factor_page.smk makes tables, figures and the page.
"""


rule factor_stability:
    """The whole cohort factorised from further seeds: which components of the saved fit come back, and how many."""
    input:
        tensor=f"{F}/tensor.npy",
        axes=[f"{F}/{name}" for name in TENSOR_AXES],
        models=lambda w: FACTORS.whole(w.cohort),
    output:
        table=update(f"{F}/stability.parquet"),
        card=update(f"{F}/stability.card.json"),
    log:
        "logs/factor_stability/{cohort}.log",
    benchmark:
        "logs/benchmarks/factor_stability/{cohort}.tsv"
    conda:
        "../envs/factors.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 480 * attempt,
    params:
        seed=CONFIG.seed,
        factors=factor_settings(CONFIG.factors, "factor_stability"),
        code=digest_of("radgen_lib.analyses.factors.stability"),
    script:
        "../workflow_scripts/factor_stability.py"


rule factor_rank:
    """Held-out density against the number of components offered, inside the training part of one fold."""
    input:
        tensor=f"{F}/tensor.npy",
        axes=[f"{F}/{name}" for name in TENSOR_AXES],
        splits=f"{F}/splits.parquet",
    output:
        rows=update(f"{F}/rank.parquet"),
        card=update(f"{F}/rank.card.json"),
    log:
        "logs/factor_rank/{cohort}.log",
    benchmark:
        "logs/benchmarks/factor_rank/{cohort}.tsv"
    conda:
        "../envs/factors.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        seed=CONFIG.seed,
        factors=factor_settings(CONFIG.factors, "factor_rank"),
        bootstrap=CONFIG.cpdm.prediction.bootstrap,
        code=digest_of("radgen_lib.analyses.factors.rank_curve"),
    script:
        "../workflow_scripts/factor_rank.py"


rule factor_comparison:
    """Ours beside CP-ALS, MOFA, PCA and single omics: what they predict in patients whom no fit saw."""
    input:
        tensor=f"{F}/tensor.npy",
        axes=[f"{F}/{name}" for name in TENSOR_AXES],
        splits=f"{F}/splits.parquet",
        factors=f"{F}/rigorous/factors.parquet",
        models=lambda w: FACTORS.fits(w.cohort, "models"),
        published=f"{F}/as_published/factors.parquet",
        patients=f"{F}/labels.parquet",
        truth=lambda w: FACTORS.truth(w.cohort),
    output:
        rows=update(f"{F}/comparison.parquet"),
        coverage=update(f"{F}/coverage.parquet"),
        card=update(f"{F}/comparison.card.json"),
    log:
        "logs/factor_comparison/{cohort}.log",
    benchmark:
        "logs/benchmarks/factor_comparison/{cohort}.tsv"
    conda:
        "../envs/factors.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 480 * attempt,
    params:
        seed=CONFIG.seed,
        factors=factor_settings(CONFIG.factors, "factor_comparison"),
        bootstrap=CONFIG.cpdm.prediction.bootstrap,
        code=digest_of("radgen_lib.analyses.factors.comparison"),
    script:
        "../workflow_scripts/factor_comparison.py"


rule factor_meaning:
    """Genes, gene sets and clinical facts of each factor of the fit on all patients."""
    input:
        models=lambda w: FACTORS.whole(w.cohort),
        patients=f"{F}/labels.parquet",
        sets=lambda w: FACTORS.gene_sets(w.cohort, FILENAMES),
    output:
        genes=update(f"{F}/genes.parquet"),
        enrichment=update(f"{F}/enrichment.parquet"),
        associations=update(f"{F}/associations.parquet"),
        card=update(f"{F}/meaning.card.json"),
    log:
        "logs/factor_meaning/{cohort}.log",
    benchmark:
        "logs/benchmarks/factor_meaning/{cohort}.tsv"
    conda:
        "../envs/factors.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        seed=CONFIG.seed,
        phantom=lambda w: w.cohort in PHANTOMS,
        whole=CONFIG.registry is None,
        code=digest_of("radgen_lib.analyses.factors.meaning"),
    script:
        "../workflow_scripts/factor_meaning.py"
