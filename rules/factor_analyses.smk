"""Stage: what the factors mean.

Needs: the tensor, its splits and fits (rules/factors.smk); patients; gene sets (rules/sources.smk), or a phantom's.
Makes: R/{cohort}/factors/{stability,comparison,genes,enrichment,associations}.parquet, R/{cohort}/tables/F.*.csv,
R/{cohort}/figures/factor_*.svg and R/{cohort}/report/factors.html.
"""

FACTOR_TABLE_FILES = [f"{R}/{{cohort}}/tables/{name}.csv" for name in FACTOR_TABLES]
FACTOR_FIGURE_FILES = [f"{R}/{{cohort}}/figures/{name}" for name in FACTOR_FIGURES]


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
        factors=TREE["factors"],
        code=digest_of("radgen_lib.analyses.factors.stability"),
    script:
        "../workflow_scripts/factor_stability.py"


rule factor_comparison:
    """Ours beside CP-ALS, MOFA, PCA and single omics: what they predict in patients whom no fit saw."""
    input:
        tensor=f"{F}/tensor.npy",
        axes=[f"{F}/{name}" for name in TENSOR_AXES],
        splits=f"{F}/splits.parquet",
        factors=f"{F}/rigorous/factors.parquet",
        models=lambda w: FACTORS.fits(w.cohort, "models"),
        published=f"{F}/as_published/factors.parquet",
        patients=f"{R}/{{cohort}}/cohort/patients.parquet",
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
        factors=TREE["factors"],
        bootstrap=CONFIG.cpdm.prediction.bootstrap,
        code=digest_of("radgen_lib.analyses.factors.comparison"),
    script:
        "../workflow_scripts/factor_comparison.py"


rule factor_meaning:
    """Genes, gene sets and clinical facts of each factor of the fit on all patients."""
    input:
        models=lambda w: FACTORS.whole(w.cohort),
        patients=f"{R}/{{cohort}}/cohort/patients.parquet",
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


rule factor_page:
    """Tables, figures and the page of the factors: self-contained, every number linked to its file."""
    input:
        **{name: f"{F}/{name}.parquet" for name in FACTOR_RESULTS},
        fits=f"{F}/rigorous/fits.parquet",
        traces=f"{F}/rigorous/traces.parquet",
        published=f"{F}/as_published/fits.parquet",
        models=lambda w: FACTORS.whole(w.cohort),
        patients=f"{R}/{{cohort}}/cohort/patients.parquet",
        decisions=f"{F}/decisions.parquet",
        selection=f"{F}/selection.parquet",
        coverage=f"{F}/coverage.parquet",
    output:
        tables=[update(table) for table in FACTOR_TABLE_FILES],
        figures=[
            report(
                update(f), category="Factors", caption="../docs/captions/factors.rst"
            )
            for f in FACTOR_FIGURE_FILES
        ],
        page=report(
            update(f"{R}/{{cohort}}/report/factors.html"),
            category="Report",
            caption="../docs/captions/factors.rst",
        ),
        card=update(f"{R}/{{cohort}}/report/factors.card.json"),
    log:
        "logs/factor_page/{cohort}.log",
    benchmark:
        "logs/benchmarks/factor_page/{cohort}.tsv"
    conda:
        "../envs/factors.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        seed=CONFIG.seed,
        factors=TREE["factors"],
        preset=CONFIG.preset,
        phantom=lambda w: w.cohort in PHANTOMS,
        released=lambda w: w.cohort in RELEASED,
        code=digest_of(
            "radgen_lib.reporting.factor_page", files=("reporting/templates",)
        ),
    script:
        "../workflow_scripts/factor_page.py"
