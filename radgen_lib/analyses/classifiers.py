"""Classifiers over feature tables; everything that is fitted sits inside one pipeline over training patients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from radgen_lib.core.errors import LeakageError
from radgen_lib.core.seeds import derive_seed

MINIMUM_PER_CLASS = 2
EQUAL = 1e-9  # scores closer than this, relative to their size, are the same
# The grid printed for the published classifier (PROTOCOLS B.5); "0.5 to 1" is read in steps of a tenth.
PUBLISHED_XGBOOST: dict[str, list[Any]] = {
    "n_estimators": [100, 200, 500, 1000],
    "learning_rate": [0.01, 0.05, 0.1, 0.2, 0.3],
    "max_depth": [3, 5, 7, 9],
    "colsample_bytree": [0.5, 0.7, 0.9, 1.0],
    "subsample": [0.5, 0.6, 0.7, 0.8, 0.9, 1.0],
    "gamma": [0, 0.25, 0.5, 1],
    "min_child_weight": [1, 3, 5],
}
_PENALTIES = [float(c) for c in np.logspace(-3, 2, 21)]
SPACES: dict[str, dict[str, list[Any]]] = {
    "xgboost": PUBLISHED_XGBOOST,
    "logistic": {"C": _PENALTIES},
    "lasso": {"C": _PENALTIES},
    "random_forest": {"n_estimators": [200], "max_features": ["sqrt", 0.1, 0.3], "min_samples_leaf": [1, 3, 5, 10]},
    "svm": {"C": _PENALTIES, "gamma": ["scale", 0.001, 0.003, 0.01, 0.03]},
}


@dataclass(frozen=True)
class Fit:
    """One training and one test set of an arm: x float [n, d], y 0/1 [n], patients str [n].

    LeakageError when a patient stands on both sides.
    """

    repeat: int
    fold: str
    train_x: np.ndarray
    train_y: np.ndarray
    train_patients: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    test_patients: np.ndarray

    def __post_init__(self) -> None:
        both = set(self.train_patients) & set(self.test_patients)
        if both:
            raise LeakageError(f"fold {self.fold}: {sorted(both)[0]} is in training and test. Rebuild the splits")

    def shortage(self) -> str:
        """Why this training set cannot be fitted, or ``""``."""
        positives = int(self.train_y.sum())
        negatives = len(self.train_y) - positives
        if min(positives, negatives) >= MINIMUM_PER_CLASS:
            return ""
        return f"fold {self.fold}: {positives} positive and {negatives} negative training patients"


@dataclass(frozen=True)
class FitOptions:
    """How an arm is fitted: ``search_draws`` 0 means fixed settings; ``whole`` fits scaler and PCA on test rows too."""

    search_draws: int
    inner_folds: int
    whole: bool
    pca: bool
    threshold_from_training: bool


@dataclass(frozen=True)
class Scored:
    """Scores of the test rows [n], the threshold chosen on training rows (NaN when not asked for) and their scale.

    ``centre`` and ``scale`` are mean and SD of this model's scores on the training part: of out-of-bag trees for a
    forest, of the training rows themselves otherwise. Models of different folds are only comparable in these units: a
    fold that holds out positives trains on fewer of them, scores everybody lower and would pull a pooled AUROC below
    one half. ``scale`` is 1 where all training scores are equal.
    """

    score: np.ndarray
    threshold: float
    centre: float = 0.0
    scale: float = 1.0


def build(name: str, seed: int) -> Any:
    """Unfitted scikit-learn classifier with the fixed settings used where none are searched; KeyError if unknown."""
    return _BUILDERS[name](seed)


def _xgboost(seed: int) -> Any:
    from xgboost import XGBClassifier

    # 32 bins: a few hundred patients carry no finer cut, and fitting is three times faster.
    return XGBClassifier(
        n_estimators=100, max_depth=3, learning_rate=0.1, subsample=0.8, colsample_bytree=0.5, tree_method="hist",
        max_bin=32, n_jobs=1, random_state=seed,
    )  # fmt: skip


def _logistic(seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=0.1, max_iter=5000, random_state=seed)


def _lasso(seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=0.3, l1_ratio=1.0, solver="liblinear", max_iter=5000, random_state=seed)


def _random_forest(seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    # Few trees where nothing is searched (a tree costs a millisecond); the searched forest has 200.
    return RandomForestClassifier(60, min_samples_leaf=3, max_depth=6, oob_score=True, n_jobs=1, random_state=seed)


def _svm(seed: int) -> Any:
    from sklearn.svm import SVC

    return SVC(C=1.0, gamma="scale", random_state=seed)


_BUILDERS = {
    "xgboost": _xgboost, "logistic": _logistic, "lasso": _lasso, "random_forest": _random_forest, "svm": _svm,
}  # fmt: skip


def _preparation(pca: bool) -> list[tuple[str, Any]]:
    """Constant-feature guard, standardisation and, for encoders, components of 95 % of the variance."""
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    from radgen_lib.analyses.columns import VaryingColumns

    steps: list[tuple[str, Any]] = [("varying", VaryingColumns()), ("scale", StandardScaler())]
    return [*steps, ("pca", PCA(n_components=0.95, svd_solver="full"))] if pca else steps


def _raw_scores(model: Any, x: np.ndarray) -> np.ndarray:
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(x)[:, 1], dtype=float)
    return np.asarray(model.decision_function(x), dtype=float)


def _inner(y: np.ndarray, folds: int, seed: int) -> Any:
    from sklearn.model_selection import StratifiedKFold

    smallest = int(np.bincount(y, minlength=2).min())
    return StratifiedKFold(min(folds, smallest), shuffle=True, random_state=seed)


def _search(model: Any, name: str, fit: Fit, x: np.ndarray, options: FitOptions, seed: int) -> Any:
    from sklearn.model_selection import RandomizedSearchCV

    space = {f"model__{key}": values for key, values in SPACES[name].items()}
    size = int(np.prod([len(v) for v in space.values()], dtype=float))
    inner = _inner(fit.train_y, options.inner_folds, derive_seed(seed, "search"))
    search = RandomizedSearchCV(
        model, space, n_iter=min(options.search_draws, size), scoring="roc_auc", n_jobs=1, refit=False, cv=inner,
        random_state=derive_seed(seed, "draw"),
    )  # fmt: skip
    search.fit(x, fit.train_y)
    return model.set_params(**search.best_params_)


def _training_threshold(model: Any, name: str, fit: Fit, x: np.ndarray, options: FitOptions, seed: int) -> float:
    """Threshold of the highest sensitivity + specificity (Youden) over training rows scored by models without them.

    A forest has them already (trees whose sample left the row out); other classifiers are fitted again on inner folds.
    """
    from sklearn.base import clone
    from sklearn.model_selection import cross_val_predict

    from radgen_lib.metrics.classification import youden_threshold

    if name == "random_forest":
        scores = model.named_steps["model"].oob_decision_function_[:, 1]
    else:
        method = "decision_function" if name == "svm" else "predict_proba"
        folds = options.inner_folds if options.search_draws else min(options.inner_folds, 3)
        inner = _inner(fit.train_y, folds, derive_seed(seed, "threshold"))
        scores = cross_val_predict(clone(model), x, fit.train_y, cv=inner, method=method)
    return float(youden_threshold(fit.train_y, scores if scores.ndim == 1 else scores[:, 1]))


def _training_scale(model: Any, name: str, x: np.ndarray) -> tuple[float, float]:
    """Mean and SD of the scores of the training part (out of bag for a forest).

    The fitted model's own scores, not those of inner folds: where it scores everybody alike (a lasso without a
    coefficient) the centre must be that very score, else rounding and refitting would rank the folds.
    """
    forest = name == "random_forest"
    return score_scale(model.named_steps["model"].oob_decision_function_[:, 1] if forest else _raw_scores(model, x))


def score_scale(scores: np.ndarray) -> tuple[float, float]:
    """Mean and SD of ``scores`` [n]; SD 1 where all are equal but for rounding."""
    centre, scale = float(scores.mean()), float(scores.std())
    return centre, scale if scale > EQUAL * max(abs(centre), 1.0) else 1.0


def fit_score(name: str, fit: Fit, options: FitOptions, seed: int) -> Scored:
    """Fit classifier ``name`` on the training rows of ``fit`` and score its test rows.

    Settings are searched over inner folds (ROC AUC) when ``search_draws`` is positive. The test labels are never read.
    Where no training feature varies, all scores are equal (AUROC 0.5). Mean and SD of the training part's scores come
    along, so that folds can be pooled. Raises ValueError when a class is too small
    (:meth:`Fit.shortage`).
    """
    from sklearn.pipeline import Pipeline

    if fit.shortage():
        raise ValueError(fit.shortage())
    if not np.ptp(fit.train_x, axis=0).any():
        return Scored(np.zeros(len(fit.test_x)), 0.0)
    steps, train_x, test_x = _preparation(options.pca), fit.train_x, fit.test_x
    if options.whole:
        prepared = Pipeline(steps).fit(np.vstack([train_x, test_x]))
        train_x, test_x, steps = prepared.transform(train_x), prepared.transform(test_x), []
    model = Pipeline([*steps, ("model", build(name, derive_seed(seed, "model")))])
    if options.search_draws:
        model = _search(model, name, fit, train_x, options, seed)
    model.fit(train_x, fit.train_y)
    threshold = np.nan
    if options.threshold_from_training:
        threshold = _training_threshold(model, name, fit, train_x, options, seed)
    return Scored(_raw_scores(model, test_x), threshold, *_training_scale(model, name, train_x))
