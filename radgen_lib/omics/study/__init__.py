"""From a study folder of cBioPortal to tables: what each file is, what is taken from it, and what was decided."""
