"""Names that the rule files share.

Needs: CONFIG, SOURCES and TREE of the Snakefile.
Makes: no file; where files lie, folders, cohorts by kind, constraints of wildcards, and what is known of the library's code.
"""

import atexit
from pathlib import Path

from radgen_lib.core.digest import code_digest, keep_sources, recall_sources
from radgen_lib.core.factor_layout import (
    FACTOR_FIGURES,
    FACTOR_TABLES,
    FIT_FILES,
    GATHERED,
    RESULTS as FACTOR_RESULTS,
    TENSOR_AXES,
    TENSOR_FILES,
    FactorLayout,
    factor_settings,
)
from radgen_lib.core.layout import (
    COHORT_FILES,
    DRIVERS,
    OMICS_FILES,
    SHARD_TABLES,
    TABLES,
    Layout,
)
from radgen_lib.core.plan import accelerators, generator_options
from radgen_lib.generators.base import generator_class

CPDM = TREE["cpdm"]
R, DATA = CONFIG.results, CONFIG.downloads
LAYOUT, FACTORS = Layout(CONFIG), FactorLayout(CONFIG)
GPU = accelerators(CONFIG)
FILENAMES = {name: source.filename for name, source in SOURCES.items()}
RELEASED = [name for name in CONFIG.cohorts if LAYOUT.is_released(name)]
PHANTOMS = [name for name, block in CONFIG.cohorts.items() if block.phantom]
FETCHED = [name for name in CONFIG.cohorts if name not in (*RELEASED, *PHANTOMS)]


wildcard_constraints:
    cohort="|".join(CONFIG.cohorts),
    shard=r"\d+",
    protocol="|".join(CONFIG.cpdm.protocols),
    condition="genes15|factors17|factors",
    generator="|".join(CONFIG.cpdm.generators),
    chunk=r"[\w-]+",
    source="|".join(SOURCES),


# Parsing the library takes a second of every call (of every job on a cluster, not of local ones): only what a job in
# the plan runs is read, and what was read is kept for the next call by the bytes of its files.
CODE_READ = Path(".snakemake/radgen-code.json").resolve()
recall_sources(CODE_READ)
atexit.register(keep_sources, CODE_READ)


def condition_file(cohort: str, condition: str) -> str:
    """Table that generators are conditioned on: the cohort's, or the factors of each fold."""
    if condition == "factors":
        return FACTORS.conditions(cohort)
    return f"{R}/{cohort}/cohort/{condition}.parquet"


def gpu_of(generator: str) -> int:
    """GPUs that a job of the generator asks for: none where its class runs on the CPU."""
    found = generator_class(CONFIG.cpdm.generators[generator].class_path)
    return GPU if found.accelerated else 0


def digest_of(*modules: str, files: tuple[str, ...] = ()):
    """Param of a rule: the digest of its code, found when a job of the rule is planned."""
    return lambda wildcards: code_digest(*modules, files=files)
