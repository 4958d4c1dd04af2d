"""Errors, atomic writes, seeds, provenance, progress and the typed configuration."""
