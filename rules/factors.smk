"""Stage: factors of the omics.

Needs: several omics of a cohort (rules/molecular.smk) or the public tensor (sources.smk), and its splits (cohort.smk).
Makes, under R/{cohort}/factors/: tensor and decisions; who trains each fit; factors per fold; the same as published.
"""

F = f"{R}/{{cohort}}/factors"
FIT = f"{F}/rigorous/jobs/{{chunk}}"


rule factor_tensor:
    """Choose genes and patients, bring each omic to its scale, and say why whatever is left out is left out."""
    input:
        sources=lambda w: FACTORS.sources(w.cohort, FILENAMES),
        patients=f"{R}/{{cohort}}/cohort/patients.parquet",
    output:
        **{Path(name).stem: update(f"{F}/{name}") for name in TENSOR_FILES},
    log:
        "logs/factor_tensor/{cohort}.log",
    benchmark:
        "logs/benchmarks/factor_tensor/{cohort}.tsv"
    conda:
        "../envs/factors.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        seed=CONFIG.seed,
        genes=CONFIG.factors.genes,
        released=lambda w: w.cohort in RELEASED,
        whole=CONFIG.registry is None,
        code=digest_of("radgen_lib.omics.btf.cohort_tensor"),
    script:
        "../workflow_scripts/factor_tensor.py"


rule factor_splits:
    """Who trains and who is projected in each fit: the generators' folds, and folds over all patients."""
    input:
        tensor_patients=f"{F}/tensor_patients.parquet",
        patients=f"{R}/{{cohort}}/cohort/patients.parquet",
        images=f"{R}/{{cohort}}/splits/splits.parquet",
    output:
        splits=update(f"{F}/splits.parquet"),
        card=update(f"{F}/splits.card.json"),
    log:
        "logs/factor_splits/{cohort}.log",
    benchmark:
        "logs/benchmarks/factor_splits/{cohort}.tsv"
    conda:
        "../envs/factors.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        seed=CONFIG.seed,
        folds=CONFIG.factors.folds,
        repeats=CONFIG.factors.repeats,
        sites=lambda w: TREE["cohorts"][w.cohort]["splits"]["sites"],
        code=digest_of("radgen_lib.cohort.factor_splits"),
    script:
        "../workflow_scripts/factor_splits.py"


rule fit_factors:
    """Factorise the training patients of each fold of the job, and project the others."""
    input:
        tensor=f"{F}/tensor.npy",
        axes=[f"{F}/{name}" for name in TENSOR_AXES],
        splits=f"{F}/splits.parquet",
    output:
        **{Path(name).stem: update(f"{FIT}/{name}") for name in FIT_FILES},
        models=update(directory(f"{FIT}/models")),
        card=update(f"{FIT}/card.json"),
    log:
        "logs/fit_factors/{cohort}-{chunk}.log",
    benchmark:
        "logs/benchmarks/fit_factors/{cohort}-{chunk}.tsv"
    priority: 2  # networks wait for it
    conda:
        "../envs/factors.yaml"
    threads: 1
    resources:
        gpu=lambda w: GPU if CONFIG.factors.on_accelerator else 0,
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        seed=CONFIG.seed,
        factors=factor_settings(CONFIG.factors, "fit_factors"),
        folds=lambda w: FACTORS.jobs(w.cohort)[w.chunk],
        device=CONFIG.device if CONFIG.factors.on_accelerator else "cpu",
        code=digest_of("radgen_lib.omics.btf.folds"),
    script:
        "../workflow_scripts/fit_factors.py"


rule gather_factors:
    """The fits of all jobs in one place, and the table of conditions that generators read."""
    input:
        **{Path(n).stem: lambda w, n=n: FACTORS.fits(w.cohort, n) for n in FIT_FILES},
    output:
        **{Path(name).stem: update(f"{F}/rigorous/{name}") for name in GATHERED},
        card=update(f"{F}/rigorous/card.json"),
    log:
        "logs/gather_factors/{cohort}.log",
    benchmark:
        "logs/benchmarks/gather_factors/{cohort}.tsv"
    conda:
        "../envs/factors.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        code=digest_of("radgen_lib.omics.btf.gathering"),
    script:
        "../workflow_scripts/gather_factors.py"


rule published_factors:
    """The factorisation as published: every patient at once, one noise for all omics, the last draw, no centring."""
    input:
        tensor=f"{F}/tensor.npy",
        axes=[f"{F}/{name}" for name in TENSOR_AXES],
    output:
        factors=update(f"{F}/as_published/factors.parquet"),
        fits=update(f"{F}/as_published/fits.parquet"),
        card=update(f"{F}/as_published/card.json"),
    log:
        "logs/published_factors/{cohort}.log",
    benchmark:
        "logs/benchmarks/published_factors/{cohort}.tsv"
    conda:
        "../envs/factors.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        seed=CONFIG.seed,
        published=TREE["factors"]["published"],
        max_genes=CONFIG.factors.max_genes,
        code=digest_of(
            "radgen_lib.omics.btf.published", "radgen_lib.omics.btf.published_training"
        ),
    script:
        "../workflow_scripts/published_factors.py"
