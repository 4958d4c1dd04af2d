"""Stage: reporting.

Needs: result rows of every analysis and audit, images, training figures and the card of every job.
Makes: R/{cohort}/tables/*.csv (published | as published, rerun | rigorous), figures, and the page a person reads.
"""

from pathlib import Path

from radgen_lib.reporting.captions import caption_file

PROTOCOLS = list(CONFIG.cpdm.protocols)
RUN_FILES = {
    "samples": "samples.npy",
    "index": "samples.parquet",
    "features": "features.parquet",
    "training": "training.csv",
}


rule tables:
    """Every table: published, as published rerun, rigorous, with n, interval and verdict, or the reason why not."""
    input:
        rows=lambda w: LAYOUT.rows(w.cohort),
        patients=f"{R}/{{cohort}}/cohort/patients.parquet",
    output:
        **{
            item.replace(".", "_"): report(
                update(f"{R}/{{cohort}}/tables/{item}.csv"),
                category="Tables",
                caption=f"../{caption_file(item)}",
            )
            for item in TABLES
        },
        card=update(f"{R}/{{cohort}}/tables/card.json"),
    log:
        "logs/tables/{cohort}.log",
    benchmark:
        "logs/benchmarks/tables/{cohort}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        seed=CONFIG.seed,
        config=TREE,
        code=digest_of(
            "radgen_lib.reporting.tables",
            "radgen_lib.reporting.gather",
            files=("reporting/data",),
        ),
    script:
        "../workflow_scripts/tables.py"


rule figures:
    """Every figure: images side by side, training, arms, survival, clusters, nearest pairs."""
    input:
        **{
            f"{key}_{p}": lambda w, p=p, f=f: LAYOUT.run_files(w.cohort, p, f)
            for p in PROTOCOLS
            for key, f in RUN_FILES.items()
        },
        **{
            f"curves_{p}": f"{R}/{{cohort}}/cpdm/{p}/rows/kaplan_meier.parquet"
            for p in PROTOCOLS
        },
        **{
            f"pairs_{p}": f"{R}/{{cohort}}/cpdm/{p}/rows/nearest_pairs.parquet"
            for p in PROTOCOLS
        },
        rows=lambda w: LAYOUT.rows(w.cohort),
        selection=f"{R}/{{cohort}}/cohort/selection.parquet",
        patients=f"{R}/{{cohort}}/cohort/patients.parquet",
        series=f"{R}/{{cohort}}/cohort/series.parquet",
        images=f"{R}/{{cohort}}/cohort/images.npy",
    output:
        **{
            name: report(
                update(f), category="Figures", caption=f"../{caption_file(name)}"
            )
            for f in LAYOUT.figures("{cohort}")
            for name in [Path(f).stem]
        },
        card=update(f"{R}/{{cohort}}/figures/card.json"),
    log:
        "logs/figures/{cohort}.log",
    benchmark:
        "logs/benchmarks/figures/{cohort}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        seed=CONFIG.seed,
        config=TREE,
        runs=lambda w: {p: LAYOUT.run_names(w.cohort, p) for p in PROTOCOLS},
        code=digest_of("radgen_lib.reporting.assemble"),
    script:
        "../workflow_scripts/figures.py"


rule page:
    """The page a person reads: self-contained, offline, every number linked to its file; model cards beside it."""
    input:
        tables=lambda w: LAYOUT.tables(w.cohort),
        figures=lambda w: LAYOUT.figures(w.cohort),
        cards=lambda w: LAYOUT.cards(w.cohort),
        models=lambda w: [
            f for p in PROTOCOLS for f in LAYOUT.run_files(w.cohort, p, "card.json")
        ],
    output:
        page=report(
            update(f"{R}/{{cohort}}/report/index.html"),
            category="Report",
            caption="../docs/captions/report.rst",
        ),
        config=update(f"{R}/{{cohort}}/report/config.yaml"),
        models=update(f"{R}/{{cohort}}/report/model_cards.md"),
        card=update(f"{R}/{{cohort}}/report/card.json"),
    log:
        "logs/page/{cohort}.log",
    benchmark:
        "logs/benchmarks/page/{cohort}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        seed=CONFIG.seed,
        config=TREE,
        code=digest_of("radgen_lib.reporting.page", files=("reporting/templates",)),
    script:
        "../workflow_scripts/page.py"
