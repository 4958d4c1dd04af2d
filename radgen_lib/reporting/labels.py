"""Names a person reads, and the one order in which rows stand."""

from __future__ import annotations

LABELS: dict[str, dict[str, str]] = {
    "protocol": {"as_published": "as published, rerun", "rigorous": "rigorous", "shared": "both protocols"},
    "condition": {"genes15": "15 genes", "factors17": "17 factors", "factors": "factors by fold"},
    "generator": {
        "cpdm": "CPDM", "edm": "EDM", "vae": "VAE", "pca_ridge": "PCA + ridge", "nearest": "nearest patient",
        "mean": "mean image", "untrained": "untrained", "noise": "noise",
    },
    "arm": {
        "real": "real images", "synthetic": "synthetic images", "both": "real + synthetic",
        "condition": "condition alone", "untrained": "untrained generator", "shuffled": "shuffled condition",
        "noise": "noise", "clinical": "age, stage, subtype", "clinical+synthetic": "age, stage, subtype + synthetic",
        "nearest_copy": "training image of the nearest condition",
        "floor": "halves of the real images", "copy": "best copy, same patient", "same_patient": "median, same patient",
        "other_patient": "best other patient", "model": "model", "mean_image": "mean training image",
    },
    "extractor": {
        "radiomics": "PyRadiomics", "vgg16": "VGG16", "resnet50": "ResNet50", "inception": "InceptionV3",
        "radimagenet": "RadImageNet",
    },
    "task": {
        "er": "ER", "subgroup": "ER+/HER2+ subgroup", "mut_TP53": "TP53 mutation", "mut_PIK3CA": "PIK3CA mutation",
        "mut_CDH1": "CDH1 mutation", "survival": "survival, any subtype", "survival_subgroup": "survival, ER+/HER2+",
    },
    "model": {
        "xgboost": "XGBoost", "logistic": "logistic", "lasso": "LASSO", "random_forest": "random forest", "svm": "SVM",
        "cox": "Cox", "cox_best_of_search": "Cox, best of search", "neural": "neural",
    },
    "design": {
        "test_on_real": "on real images", "test_on_synthetic": "on synthetic images",
        "published_split": "single split", "split_trainings": "single split, mean over trainings",
        "published_folds": "15 folds", "fold_mean": "mean of the 15 folds",
        "grouped": "folds by patient", "site": "left-out site", "full": "all images",
        "holdout10:test_on_synthetic": "10 % tests on synthetic images",
        "holdout10:test_on_real": "10 % tests on real images",
        "holdout20": "20 % tests", "out_of_fold": "out of fold", "best_on_test_folds": "best on test folds",
        "out_of_fold:test_on_real": "out of fold on real images",
        "out_of_fold:test_on_synthetic": "out of fold on synthetic images",
    },
    "metric": {
        "pixelrow_frechet": "pixel-row Fréchet", "pixelrow_frechet_best": "pixel-row Fréchet, best of draws",
        "pixelrow_frechet_mean": "pixel-row Fréchet, mean of draws", "mse": "MSE", "ssim": "SSIM",
        "kid": "KID", "frechet_radiomics": "Fréchet radiomics distance", "frd": "Fréchet radiomics distance",
        "kid_radiomics": "KID, radiomics", "auroc": "AUROC",
        "average_precision": "average precision", "auprc_trapz": "AUPRC (trapezoid)", "auprc": "AUPRC", "f1": "F1",
        "auroc_difference": "AUROC difference", "c_harrell": "C-index (Harrell)", "c_uno": "C-index (Uno)",
        "c_harrell_train": "C-index on training patients", "logrank_p": "log-rank p",
        "n_synthetic_patients": "synthetic patients", "cv_folds": "folds",
    },
}  # fmt: skip
PHANTOM, OTHER_COHORT = "phantom: not real patients", "another cohort than the published one"
VERDICTS = (
    "reproduced", "not reproduced", "reproduced (spread)", "not reproduced (spread)", "reproduced (trainings)",
    "not reproduced (trainings)", "not judged", "not computable", "invalid statistic", "no published value", PHANTOM,
    OTHER_COHORT,
)  # fmt: skip
BESIDE = " beside "  # joins the designs of two protocols in the name of a line
ITEM_TITLES = {
    "B.ABS1": "Preprint abstract", "B.ABS2": "Final abstract", "B.TA": "Image quality", "B.TB": "Clinical prediction",
    "B.TC": "Survival", "B.TD": "Reference rows of the pixel-row Fréchet distance", "B.F2": "Risk groups and clusters",
    "S.ADH": "Condition adherence", "S.LEAK": "Leakage", "S.PRIV": "Memorisation", "S.SIDE": "Every published number",
}  # fmt: skip


def label(column: str, value: str) -> str:
    """Readable name of a key value; values nobody named keep their own name, with spaces for underscores."""
    named = LABELS.get(column, {}).get(value) or (LABELS["generator"].get(value) if column == "arm" else None)
    return named or value.replace("_", " ")


def setup_label(setup: str) -> str:
    """Readable form of a ``generator, design`` text."""
    return ", ".join(LABELS["generator"].get(part) or label("design", part) for part in setup.split(", "))


def rank(column: str, value: str) -> tuple[int, str]:
    """Sort key of a key value: "" first, then the order above, then the rest by name."""
    order = list(LABELS.get(column, {}))
    if value == "":
        return (-1, "")
    return (order.index(value), "") if value in order else (len(order), value)
