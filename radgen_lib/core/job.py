"""What every workflow script does around its one call: log, threads, one-line errors, provenance card."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from radgen_lib.core.errors import RadgenError, StopRequested
from radgen_lib.core.progress import log_to
from radgen_lib.core.provenance import Card

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
STOPPED, FAILED = 143, 1


class JobLike(Protocol):
    """The attributes of Snakemake's job object that are used here."""

    rule: str
    input: Sequence[str]
    log: Sequence[str]
    params: Mapping[str, object]
    threads: int


@contextmanager
def open_job(job: JobLike) -> Iterator[Card]:
    """Run the body of a workflow script.

    Sends the log to the rule's log file, fixes the threads of the numeric libraries (call it before they are
    imported), yields the card to be written by the script, and turns a :class:`RadgenError` into one line on
    standard error and a non-zero exit. Other errors keep their traceback, in the log.
    """
    log_to(job.log[0] if job.log else None)
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(job.threads)
    params = {key: value for key, value in dict(job.params).items() if key != "code"}
    seed = params.get("seed")
    card = Card(job.rule, config=params, seed=seed if isinstance(seed, int) else None, code=str(job.params["code"]))
    card.inputs(job.input)
    try:
        yield card
    except StopRequested as error:
        _tell(job, error)
        sys.exit(STOPPED)
    except RadgenError as error:
        _tell(job, error)
        sys.exit(FAILED)
    except Exception:
        logging.getLogger("radgen").exception("rule %s failed", job.rule)
        raise


def _tell(job: JobLike, error: RadgenError) -> None:
    line = f"radgen: rule {job.rule}: {error}"
    logging.getLogger("radgen").error("%s", line)
    sys.stderr.write(line + "\n")
