"""Reference tables of other groups: one reader a table, each with a checked schema."""
