"""Generators of images from omics: one interface, one training loop."""
