"""``python -m radgen_lib.core.config``: bring config.yaml, the schema and the reference page up to date."""

from __future__ import annotations

import sys

from radgen_lib.core.config.pages import write_pages
from radgen_lib.core.digest import LIBRARY

if __name__ == "__main__":
    for name in write_pages(LIBRARY.parent):
        sys.stdout.write(f"{name}: brought up to date\n")
