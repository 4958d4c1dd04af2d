"""Bayesian tensor factorisation of patients x genes x omics: sampler, fast approximation, projection, imputation."""
