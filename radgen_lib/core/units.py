"""Units that several rooms convert by."""

from __future__ import annotations

# A twelfth of 365.25 days, by which cBioPortal's months become days and back.
DAYS_PER_MONTH = 30.4375
