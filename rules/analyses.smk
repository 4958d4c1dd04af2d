"""Stage: analyses.

Needs: samples and features of every training job of a protocol (rules/generators.smk), cohort tables and splits.
Makes: R/{cohort}/cpdm/{protocol}/rows/*.parquet, result rows: each number with n and interval, or the reason why not.
"""

COHORT = {
    **{name: f"{R}/{{cohort}}/cohort/{name}.parquet" for name in COHORT_FILES},
    "images": f"{R}/{{cohort}}/cohort/images.npy",
    "splits": f"{R}/{{cohort}}/splits/splits.parquet",
    "endpoints": f"{R}/{{cohort}}/splits/endpoint_splits.parquet",
}
PER_PROTOCOL = {
    **COHORT,
    "real": f"{R}/{{cohort}}/cpdm/{{protocol}}/real_features.parquet",
    "factors": lambda w: FACTORS.wanted(w.cohort, w.protocol),
}
SAMPLES = {
    "samples": lambda w: LAYOUT.run_files(w.cohort, w.protocol, "samples.npy"),
    "index": lambda w: LAYOUT.run_files(w.cohort, w.protocol, "samples.parquet"),
    "features": lambda w: LAYOUT.run_files(w.cohort, w.protocol, "features.parquet"),
    "status": lambda w: LAYOUT.run_files(w.cohort, w.protocol, "features_status.csv"),
}
ROWS = f"{R}/{{cohort}}/cpdm/{{protocol}}/rows"
# Searching the settings of every classifier and endpoint takes days of one core at paper sizes.
SEARCHES = (
    len(CPDM["prediction"]["primary_tasks"])
    * len(CPDM["prediction"]["primary_classifiers"])
    * CPDM["prediction"]["search_draws"]
)
PREDICTION_THREADS = 8 if SEARCHES >= 50 else 1


rule fidelity:
    """Are the images like real ones? Frechet family, MSE, SSIM, coverage, diversity (B.TA)."""
    input:
        **PER_PROTOCOL,
        **SAMPLES,
    output:
        rows=update(f"{ROWS}/fidelity.parquet"),
        csv=update(f"{ROWS}/fidelity.csv"),
        card=update(f"{ROWS}/fidelity.card.json"),
    log:
        "logs/fidelity/{cohort}-{protocol}.log",
    benchmark:
        "logs/benchmarks/fidelity/{cohort}-{protocol}.tsv"
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
        code=digest_of("radgen_lib.analyses.trainings"),
    script:
        "../workflow_scripts/fidelity.py"


rule prediction:
    """Clinical prediction from image features, in every arm (B.TB)."""
    input:
        **PER_PROTOCOL,
        **SAMPLES,
    output:
        rows=update(f"{ROWS}/prediction.parquet"),
        csv=update(f"{ROWS}/prediction.csv"),
        predictions=update(f"{ROWS}/predictions.parquet"),
        card=update(f"{ROWS}/prediction.card.json"),
    log:
        "logs/prediction/{cohort}-{protocol}.log",
    benchmark:
        "logs/benchmarks/prediction/{cohort}-{protocol}.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: PREDICTION_THREADS
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 1440 * attempt,
    params:
        seed=CONFIG.seed,
        protocol=lambda w: CPDM["protocols"][w.protocol],
        runs=lambda w: LAYOUT.run_names(w.cohort, w.protocol),
        prediction=CPDM["prediction"],
        code=digest_of("radgen_lib.analyses.prediction"),
    script:
        "../workflow_scripts/prediction.py"


rule reference:
    """What copies, the mean image and noise score on the pixel-row Frechet distance (B.TD)."""
    input:
        **COHORT,
        **{
            f"{p}_samples": lambda w, p=p: LAYOUT.run_files(w.cohort, p, "samples.npy")
            for p in CONFIG.cpdm.protocols
        },
        **{
            f"{p}_index": lambda w, p=p: LAYOUT.run_files(
                w.cohort, p, "samples.parquet"
            )
            for p in CONFIG.cpdm.protocols
        },
    output:
        rows=update(f"{R}/{{cohort}}/cpdm/rows/reference.parquet"),
        csv=update(f"{R}/{{cohort}}/cpdm/rows/reference.csv"),
        card=update(f"{R}/{{cohort}}/cpdm/rows/reference.card.json"),
    log:
        "logs/reference/{cohort}.log",
    benchmark:
        "logs/benchmarks/reference/{cohort}.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        seed=CONFIG.seed,
        protocols=CPDM["protocols"],
        runs=lambda w: {p: LAYOUT.run_names(w.cohort, p) for p in CONFIG.cpdm.protocols},
        code=digest_of("radgen_lib.analyses.reference_rows"),
    script:
        "../workflow_scripts/reference.py"
