"""Bayesian tensor factorisation of patients x genes x omics: sampler, fast approximation, projection, imputation.

The names that a notebook needs can be imported from here; each is loaded when it is first asked for, so that importing
the package stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from radgen_lib.omics.btf.estimator import BayesianTensorFactorisation
    from radgen_lib.omics.btf.folds import FoldFit
    from radgen_lib.omics.btf.imputation import Imputed
    from radgen_lib.omics.btf.scaling import TensorScaler

__all__ = ["BayesianTensorFactorisation", "FoldFit", "Imputed", "TensorScaler"]
_HOMES = dict(zip(__all__, ("estimator", "folds", "imputation", "scaling"), strict=True))


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
