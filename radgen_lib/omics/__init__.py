"""Omics matrices and the conditions made from them."""
