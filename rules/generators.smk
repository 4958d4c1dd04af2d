"""Stage: generators.

Needs: cohort tables, images and splits (rules/cohort.smk).
Makes, under R/{cohort}/cpdm/{protocol}/{condition}/{generator}/{chunk}/: weights.safetensors with its card and
training figures; samples.npy with its index; features.parquet of those samples. A chunk is the folds of one job.
"""

RUN = f"{R}/{{cohort}}/cpdm/{{protocol}}/{{condition}}/{{generator}}/{{chunk}}"
RUN_NAME = "{cohort}/{protocol}-{condition}-{generator}-{chunk}"


rule train_generator:
    """Train one generator on the training patients of each fold; goes on where a killed job stopped."""
    input:
        images=f"{R}/{{cohort}}/cohort/images.npy",
        series=f"{R}/{{cohort}}/cohort/series.parquet",
        conditions=lambda w: condition_file(w.cohort, w.condition),
        splits=f"{R}/{{cohort}}/splits/splits.parquet",
    output:
        weights=update(f"{RUN}/weights.safetensors"),
        training=update(f"{RUN}/training.csv"),
        card=update(f"{RUN}/card.json"),
    log:
        f"logs/train_generator/{RUN_NAME}.log",
    benchmark:
        f"logs/benchmarks/train_generator/{RUN_NAME}.tsv"
    priority: 2  # with what follows from it the longest way to the tables
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=lambda w: gpu_of(w.generator),
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 720 * attempt,
    params:
        seed=CONFIG.seed,
        folds=lambda w: LAYOUT.jobs(w.cohort, w.protocol, w.generator)[w.chunk],
        class_path=lambda w: CONFIG.cpdm.generators[w.generator].class_path,
        options=lambda w: generator_options(CONFIG, w.protocol, w.generator),
        scaling=lambda w: CPDM["protocols"][w.protocol]["condition_scaling"],
        condition_log=lambda w: CPDM["protocols"][w.protocol]["condition_log"],
        deterministic=CONFIG.deterministic,
        preset=CONFIG.preset,
        code=lambda w: LAYOUT.generator_digest(w.generator, "training"),
    script:
        "../workflow_scripts/train_generator.py"


rule sample_images:
    """Draw images: held-out patients, patients without MRI, shuffled conditions (primary one), shifted conditions."""
    input:
        card=f"{RUN}/card.json",
        weights=f"{RUN}/weights.safetensors",
        patients=f"{R}/{{cohort}}/cohort/patients.parquet",
        conditions=lambda w: condition_file(w.cohort, w.condition),
        splits=f"{R}/{{cohort}}/splits/splits.parquet",
    output:
        samples=update(f"{RUN}/samples.npy"),
        index=update(f"{RUN}/samples.parquet"),
        card=update(f"{RUN}/samples.card.json"),
    log:
        f"logs/sample_images/{RUN_NAME}.log",
    benchmark:
        f"logs/benchmarks/sample_images/{RUN_NAME}.tsv"
    priority: 1  # as above
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=lambda w: gpu_of(w.generator),
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 720 * attempt,
    params:
        seed=CONFIG.seed,
        folds=lambda w: LAYOUT.jobs(w.cohort, w.protocol, w.generator)[w.chunk],
        synthetic_folds=lambda w: LAYOUT.drawn_folds(**dict(w.items())),
        sampling=CPDM["sampling"],
        shifted_variables=CPDM["adherence"]["response_variables"],
        shifted_patients=CPDM["adherence"]["response_patients"],
        shifted=lambda w: LAYOUT.shifted_folds(
            w.cohort, w.protocol, w.generator, w.chunk
        ),
        primary=lambda w: CPDM["protocols"][w.protocol]["primary"] == w.generator,
        class_path=lambda w: CONFIG.cpdm.generators[w.generator].class_path,
        code=lambda w: LAYOUT.generator_digest(w.generator, "plans"),
    script:
        "../workflow_scripts/sample_images.py"


rule sample_features:
    """Radiomic features, and those of the encoders whose weights are there, of every drawn image."""
    input:
        samples=f"{RUN}/samples.npy",
        index=f"{RUN}/samples.parquet",
    output:
        features=update(f"{RUN}/features.parquet"),
        status=update(f"{RUN}/features_status.csv"),
        card=update(f"{RUN}/features.card.json"),
    log:
        f"logs/sample_features/{RUN_NAME}.log",
    benchmark:
        f"logs/benchmarks/sample_features/{RUN_NAME}.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: (12000 if CPDM["weights"] else 3000) * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        seed=CONFIG.seed,
        binning=lambda w: CPDM["protocols"][w.protocol]["radiomics_binning"],
        clamp=lambda w: CPDM["protocols"][w.protocol]["clamp_images"],
        preprocessing=lambda w: CPDM["protocols"][w.protocol]["encoder_preprocessing"],
        encoders=CPDM["encoders"],
        weights=CPDM["weights"],
        code=digest_of("radgen_lib.analyses.features"),
    script:
        "../workflow_scripts/sample_features.py"


rule real_features:
    """The same features of the real images."""
    input:
        samples=f"{R}/{{cohort}}/cohort/images.npy",
        index=f"{R}/{{cohort}}/cohort/series.parquet",
    output:
        features=update(f"{R}/{{cohort}}/cpdm/{{protocol}}/real_features.parquet"),
        status=update(f"{R}/{{cohort}}/cpdm/{{protocol}}/real_features_status.csv"),
        card=update(f"{R}/{{cohort}}/cpdm/{{protocol}}/real_features.card.json"),
    log:
        "logs/real_features/{cohort}-{protocol}.log",
    benchmark:
        "logs/benchmarks/real_features/{cohort}-{protocol}.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        seed=CONFIG.seed,
        binning=lambda w: CPDM["protocols"][w.protocol]["radiomics_binning"],
        clamp=True,
        preprocessing=lambda w: CPDM["protocols"][w.protocol]["encoder_preprocessing"],
        encoders=CPDM["encoders"],
        weights=CPDM["weights"],
        code=digest_of("radgen_lib.analyses.features"),
    script:
        "../workflow_scripts/sample_features.py"
