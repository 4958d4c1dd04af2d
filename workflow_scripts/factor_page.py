"""Tables, figures and the page of the factors."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    from radgen_lib.core.config.factors import Factors
    from radgen_lib.reporting.factor_page import draw_figures, render_factor_page, write_factor_page, write_figures
    from radgen_lib.reporting.factor_tables import NEEDED, build_factor_tables, read_results, write_factor_tables

    job, params = snakemake, snakemake.params
    files = {name: job.input[name] for name in NEEDED}
    results = read_results(files, Path(job.input.models), Factors(**params.factors))
    write_factor_tables([Path(f) for f in job.output.tables], build_factor_tables(results, params.preset))
    figures = draw_figures(results)
    write_figures([Path(f) for f in job.output.figures], figures)
    page = render_factor_page(
        results,
        figures,
        cohort=job.wildcards.cohort,
        preset=params.preset,
        phantom=params.phantom,
        released=params.released,
    )
    write_factor_page(Path(job.output.page), page)
    card.write(job.output.card)
