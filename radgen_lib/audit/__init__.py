"""Audits: condition adherence, memorisation and leakage; each gives rows of the one long result format."""
