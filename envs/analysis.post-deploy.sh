#!/usr/bin/env bash
# pyradiomics 3.0.1 has no wheel for this Python; it builds once numpy is there and isolation is off.
set -euo pipefail
python -m pip install --no-deps --no-build-isolation pyradiomics==3.0.1
