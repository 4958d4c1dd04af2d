"""Write the page, the merged configuration and the model cards of a cohort."""

import json
from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import yaml

    from radgen_lib.core.atomic import write_text
    from radgen_lib.core.provenance import code_version, package_versions
    from radgen_lib.reporting.facts import ReportFacts
    from radgen_lib.reporting.model_card import model_card
    from radgen_lib.reporting.page import write_report
    from radgen_lib.reporting.tables import read_table

    job, config = snakemake, snakemake.params.config
    folder = Path(job.output.page).parent
    root = folder.parent
    inside = [Path(path).relative_to(root).as_posix() for path in job.input.cards]
    facts = ReportFacts(
        job.wildcards.cohort,
        config["preset"],
        job.params.seed,
        config,
        packages=package_versions(),
        code_version=code_version(),
        cards={path.removesuffix(".json"): path for path in inside},
    )
    write_report(
        folder,
        tables={Path(path).stem: read_table(Path(path)) for path in job.input.tables},
        figures={Path(path).stem: Path(path).read_bytes() for path in job.input.figures},
        facts=facts,
    )
    write_text(job.output.config, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    whose = "phantom" if facts.is_phantom else "released" if facts.is_released else "ingested"
    cards = [model_card(json.loads(Path(path).read_text()), cohort=whose) for path in job.input.models]
    write_text(job.output.models, "\n\n---\n\n".join(cards))
    card.write(job.output.card)
