"""radgen: reproducible breast-cancer radiogenomics, as a library usable without the workflow."""

__version__ = "0.1.0"
