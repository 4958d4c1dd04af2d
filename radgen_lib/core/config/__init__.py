"""Typed configuration: the one source of defaults, schema and reference page."""
