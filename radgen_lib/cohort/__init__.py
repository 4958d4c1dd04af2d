"""Identity of patients and series, selection with reasons, labels, splits by patient."""
