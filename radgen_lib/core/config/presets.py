"""Sizes of a run, laid over the defaults (which are the published sizes)."""

from __future__ import annotations

from typing import Any

_TINY = {"working_size": 32, "epochs": 24}
# A tiny network learns little in a minute: fewer noise levels and a faster rate let the mechanics show.
_TINY_CPDM = {"timesteps": 600, "learning_rate": 0.004}
_TINY_EDM = {
    "channels": [8, 16, 16],
    "attention_levels": [False, False, True],
    "res_blocks": 1,
    "sampler": "heun",
    "sampling_steps": 6,
}
_MINI_EDM = {"channels": [8, 16, 16], "sampler": "heun", "sampling_steps": 2, "res_blocks": 1, "working_size": 16}

# The demo trains the single split once: again would be four more trainings, and it has six minutes for everything.
_FEW_SPLITS = {"folds": 2, "repeats": 1, "endpoint_folds": 3, "endpoint_repeats": 1, "trainings": 1}
_MINI_SPLITS = {**_FEW_SPLITS, "trainings": 2}

_QUICK_FACTORS = {
    "max_genes": 200, "components": 12, "burn_in": 150, "draws": 30, "thin": 2, "folds": 3, "repeats": 1,
    "folds_per_job": "all", "seeds": 3, "rank_grid": [4, 12], "published": {"burn_in": 300, "draws": 5},
}  # fmt: skip
_TINY_FACTORS = {
    **_QUICK_FACTORS, "max_genes": 60, "components": 6, "burn_in": 60, "draws": 20, "folds": 2, "seeds": 2,
    "rank_grid": [2, 6],
}  # fmt: skip

DEMO: dict[str, Any] = {
    "cohorts": {
        "phantom": {
            "splits": _FEW_SPLITS,
            "imaging": {"volume": [16, 64, 64]},
            "phantom": {"patients": 24, "omics_only": 96, "shape": [16, 64, 64]},
        },
        "tcga_brca_released": {"splits": _FEW_SPLITS},
    },
    "factors": {**_QUICK_FACTORS, "method": "variational"},
    "cpdm": {
        "folds_per_job": "all",
        "protocols": {
            "as_published": {"designs": ["published_split"]},
            "rigorous": {"designs": ["grouped", "full"], "on_factors": ["pca_ridge"]},
        },
        "generators": {
            "cpdm": {"options": {"width": 8, "sampler": "ddim", "sampling_steps": 12, **_TINY_CPDM, **_TINY}},
            "edm": {"options": {**_TINY_EDM, **_TINY, "learning_rate": 0.002}},
            "untrained": {"options": {**_TINY_EDM, "working_size": 32}},
            "vae": {"options": {"width": 0.25, "working_size": 64, "epochs": 40}},
        },
        "sampling": {"draws_heldout": 4, "max_synthetic": 120},
        "prediction": {
            "primary_tasks": ["er", "mut_TP53"],
            "primary_classifiers": ["logistic"],
            "search_draws": 3,
            "inner_folds": 3,
            "holdout_seeds": 5,
            "bootstrap": 500,
        },
        "survival": {"search_settings": 60, "search_permutations": 20},
        "adherence": {"permutations": 1000, "response_variables": 3, "response_patients": 8},
    },
}
MINI: dict[str, Any] = {
    "cohorts": {
        "phantom": {
            "splits": _MINI_SPLITS,
            "imaging": {"volume": [8, 32, 32]},
            "phantom": {"patients": 8, "omics_only": 48, "shape": [8, 32, 32], "genes": 100},
        },
        "tcga_brca_released": {"splits": _MINI_SPLITS},
    },
    "factors": {**_TINY_FACTORS, "method": "variational"},
    "cpdm": {
        **DEMO["cpdm"],
        "protocols": {
            **DEMO["cpdm"]["protocols"],
            "rigorous": {
                **DEMO["cpdm"]["protocols"]["rigorous"],
                "generators": ["cpdm", "edm", "pca_ridge", "nearest", "mean", "untrained", "noise"],
            },
        },
        "generators": {
            "cpdm": {
                "options": {
                    "width": 8,
                    # With 1500 steps a network that saw two epochs leaves pixels in the thousands, and radiomics on
                    # unclamped images then takes minutes.
                    "timesteps": 100,
                    "sampler": "ddim",
                    "sampling_steps": 4,
                    "working_size": 16,
                    "epochs": 2,
                }
            },
            "edm": {"options": {**_MINI_EDM, "epochs": 2}},
            "untrained": {"options": _MINI_EDM},
            "vae": {"options": {"width": 0.125, "working_size": 32, "epochs": 2}},
        },
        "sampling": {"draws_heldout": 2, "max_synthetic": 30},
        "prediction": {
            "tasks": ["er", "subgroup", "mut_TP53"],
            "classifiers": ["logistic"],
            "primary_tasks": [],
            "primary_classifiers": [],
            "search_draws": 1,
            "inner_folds": 2,
            "holdout_seeds": 2,
            "bootstrap": 100,
        },
        "survival": {"search_settings": 6, "search_permutations": 2},
        "adherence": {"permutations": 100, "response_variables": 2, "response_patients": 5},
    },
}
PROOF: dict[str, Any] = {
    "cohorts": {
        "phantom": {
            "imaging": {"volume": [16, 64, 64], "shards": 8},
            "phantom": {"patients": 300, "omics_only": 700, "shape": [16, 64, 64], "genes": 1000},
        }
    },
    "factors": {"folds_per_job": "all"},
    # Real images of all 300 patients tell the associations; a fifth of them is enough to measure a response.
    "cpdm": {"folds_per_job": "all", "adherence": {"response_patients": 60}},
}
PRESETS: dict[str, dict[str, Any]] = {"mini": MINI, "demo": DEMO, "proof": PROOF, "paper": {}}
