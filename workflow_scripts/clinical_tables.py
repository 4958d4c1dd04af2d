"""Clinical features and lesion boxes in the form of the Duke collection."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import pandas as pd

    from radgen_lib.core.atomic import write_parquet
    from radgen_lib.sources.reference.duke import read_duke_boxes, read_duke_clinical

    job, whole = snakemake, snakemake.params.whole
    given = {name: Path(path) for name, path in job.input.items()}
    folder = given.get("folder", Path())
    clinical_file = given.get("duke_clinical", folder / "Clinical_and_Other_Features.xlsx")
    boxes_file = given.get("duke_boxes", folder / "Annotation_Boxes.xlsx")
    card.inputs([clinical_file, boxes_file])  # of a phantom the input is their folder
    clinical, boxes = read_duke_clinical(clinical_file, whole=whole), read_duke_boxes(boxes_file, whole=whole)
    write_parquet(job.output.clinical, clinical.table)
    write_parquet(job.output.boxes, boxes.table)
    write_parquet(job.output.faults, pd.concat([clinical.faults, boxes.faults], ignore_index=True))
    card.write(job.output.card)
