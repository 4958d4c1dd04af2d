"""The radgen command line."""
