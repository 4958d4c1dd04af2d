"""``python -m radgen_lib.sources.reference``: bring the page of the data up to date."""

from __future__ import annotations

import sys

from radgen_lib.core.digest import LIBRARY
from radgen_lib.sources.reference.page import write_page

if __name__ == "__main__":
    for name in write_page(LIBRARY.parent):
        sys.stdout.write(f"{name}: brought up to date\n")
