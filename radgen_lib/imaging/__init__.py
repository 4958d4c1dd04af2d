"""Images: projections and radiomic features."""
