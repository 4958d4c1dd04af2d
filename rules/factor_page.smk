"""Stage: the page of the factors.

Needs: fits (rules/factors.smk) and what was found in them (rules/factor_analyses.smk).
Makes: R/{cohort}/tables/F.*.csv, R/{cohort}/figures/factor_*.svg and R/{cohort}/report/factors.html.
"""

FACTOR_TABLE_FILES = [f"{R}/{{cohort}}/tables/{name}.csv" for name in FACTOR_TABLES]
FACTOR_FIGURE_FILES = [f"{R}/{{cohort}}/figures/{name}" for name in FACTOR_FIGURES]


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
        factors=TREE["factors"],  # the page lists every setting
        preset=CONFIG.preset,
        phantom=lambda w: w.cohort in PHANTOMS,
        released=lambda w: w.cohort in RELEASED,
        code=digest_of(
            "radgen_lib.reporting.factor_page", files=("reporting/templates",)
        ),
    script:
        "../workflow_scripts/factor_page.py"
