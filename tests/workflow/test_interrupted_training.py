"""A training job that is killed or asked to stop ends with the bytes of an undisturbed one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.workflow.conftest import Copier, Finished
from tests.workflow.driver import RESULTS, Workspace, finish, job_processes, kill_group

# Not part of the default run until it has been timed on an idle machine.
pytestmark = [pytest.mark.workflow, pytest.mark.scale]
