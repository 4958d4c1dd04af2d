"""Stage: endpoints of the patients of the tensor.

Needs: the tensor (rules/factors.smk), patients (rules/cohort.smk), a further table of receptors (rules/sources.smk).
Makes: R/{cohort}/factors/{labels,labels_selection}.parquet, which rules/factor_analyses.smk scores factors against.
"""


rule factor_labels:
    """Endpoints of the patients of the tensor; receptors of the released cohort from the table of TCGA 2012."""
    input:
        tensor_patients=f"{F}/tensor_patients.parquet",
        patients=f"{R}/{{cohort}}/cohort/patients.parquet",
        receptors=lambda w: FACTORS.receptors(w.cohort, FILENAMES),
    output:
        table=update(f"{F}/labels.parquet"),
        selection=update(f"{F}/labels_selection.parquet"),
        card=update(f"{F}/labels.card.json"),
    log:
        "logs/factor_labels/{cohort}.log",
    benchmark:
        "logs/benchmarks/factor_labels/{cohort}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        whole=CONFIG.registry is None,
        max_excluded_share=lambda w: CONFIG.cohorts[w.cohort].max_excluded_share,
        code=digest_of(
            "radgen_lib.cohort.factor_labels", "radgen_lib.sources.reference.subtypes"
        ),
    script:
        "../workflow_scripts/factor_labels.py"
