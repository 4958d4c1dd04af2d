"""Frechet family, image quality, classification, survival, intervals."""
