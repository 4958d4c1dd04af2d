"""Fidelity, clinical prediction and survival on cohorts and generated images."""
