"""Paper tables, figures, the page a person reads."""
