"""Data registry, downloads, released data."""
