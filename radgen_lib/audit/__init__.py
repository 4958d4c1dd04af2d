"""Leakage, condition adherence, memorisation."""
