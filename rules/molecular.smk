"""Stage: molecular and clinical tables.

Needs: the molecular study of a cohort, and clinical tables where it brings some (rules/sources.smk).
Makes: R/{cohort}/omics/ (tensor, clinical, mutations, decisions, quality); R/{cohort}/clinical/ (features and lesion
boxes in the form of the Duke collection).
"""

from pathlib import Path


rule read_omics:
    """The molecular study as the portal delivers it, to a patients x genes x omics tensor and tables."""
    input:
        study=lambda w: LAYOUT.study(w.cohort, FILENAMES),
        clinical=lambda w: LAYOUT.clinical(w.cohort, FILENAMES),
        rest=lambda w: LAYOUT.rest(w.cohort),
    output:
        **{
            Path(name).stem: update(f"{R}/{{cohort}}/omics/{name}")
            for name in OMICS_FILES
        },
    log:
        "logs/read_omics/{cohort}.log",
    benchmark:
        "logs/benchmarks/read_omics/{cohort}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        drivers=list(DRIVERS),
        cohort=lambda w: TREE["cohorts"][w.cohort],
        files=lambda w: listed(LAYOUT.own_study(w.cohort)),
        code=digest_of(
            "radgen_lib.omics.study.local",
            "radgen_lib.omics.study.rest",
            "radgen_lib.omics.study.write",
            "radgen_lib.imaging.pseudonyms",
        ),
    script:
        "../workflow_scripts/read_omics.py"


rule clinical_tables:
    """Clinical features and lesion boxes in the form of the Duke collection, checked column by column."""
    input:
        unpack(lambda w: LAYOUT.duke_tables(w.cohort, FILENAMES)),
    output:
        **{
            name: update(f"{R}/{{cohort}}/clinical/{name}.parquet")
            for name in ("clinical", "boxes", "faults")
        },
        card=update(f"{R}/{{cohort}}/clinical/card.json"),
    log:
        "logs/clinical_tables/{cohort}.log",
    benchmark:
        "logs/benchmarks/clinical_tables/{cohort}.tsv"
    wildcard_constraints:
        cohort="|".join(filter(LAYOUT.has_duke_tables, CONFIG.cohorts)) or "(?!)",
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        whole=lambda w: w.cohort not in PHANTOMS,
        code=digest_of("radgen_lib.sources.reference.duke"),
    script:
        "../workflow_scripts/clinical_tables.py"
