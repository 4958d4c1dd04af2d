"""A digital cohort in the formats of the real sources, with its truth beside it."""
