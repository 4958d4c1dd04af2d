"""radgen: from raw public data to the tables of published breast-cancer radiogenomics systems.

Targets: a cohort (`phantom`, `tcga_brca_released`, `tcga_brca`, `duke`), a system (`cpdm`), `paper_tables`; without a
target, the cohorts of `run:`.
"""

import gc
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.0")
sys.path.insert(0, workflow.basedir)
# A plan is a million small objects that all stay: walking them took a sixth of it.
gc.freeze()
gc.set_threshold(200_000, 50, 50)

from radgen_lib.core.config.load import as_tree, resolve
from radgen_lib.core.errors import RadgenError
from radgen_lib.generators.base import check_generators
from radgen_lib.sources.registry import load_registry


configfile: f"{workflow.basedir}/config.yaml"


try:
    CONFIG = resolve(config, workflow.config_settings.overwrite_config)
    SOURCES = load_registry(CONFIG.registry)
    check_generators(CONFIG)
except RadgenError as error:
    raise WorkflowError(str(error)) from None

TREE = as_tree(CONFIG)
config.update(TREE)  # what scripts read: checked, with the preset


include: "rules/common.smk"
include: "rules/sources.smk"
include: "rules/molecular.smk"
include: "rules/ingestion.smk"
include: "rules/cohort.smk"
include: "rules/factors.smk"
include: "rules/generators.smk"
include: "rules/analyses.smk"
include: "rules/survival.smk"
include: "rules/factor_labels.smk"
include: "rules/factor_analyses.smk"
include: "rules/factor_page.smk"
include: "rules/audit.smk"
include: "rules/reporting.smk"


rule all:
    default_target: True
    input:
        lambda w: [file for cohort in CONFIG.run for file in LAYOUT.everything(cohort)],


rule paper_tables:
    input:
        lambda w: [table for cohort in CONFIG.run for table in LAYOUT.tables(cohort)],


rule cpdm:
    input:
        lambda w: [file for cohort in CONFIG.run for file in LAYOUT.analysed(cohort)],


for name in CONFIG.cohorts:

    rule:
        name:
            name
        input:
            lambda w, cohort=name: LAYOUT.everything(cohort),
