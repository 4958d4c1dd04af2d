"""Names a person reads on the page of factors: tables, methods, measures, endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from radgen_lib.reporting.labels import label

TITLES = {
    "F.FIT": "The fits: rank, convergence, variance explained", "F.STAB": "Stability over seeds",
    "F.RANK": "Held-out density by number of components offered",
    "F.GENES": "Genes of each factor", "F.SETS": "Gene sets", "F.ASSOC": "Clinical associations",
    "F.CMP": "Comparison with other methods",
}  # fmt: skip
METHODS = {
    "btf_gibbs": "ours, sampled", "btf_variational": "ours, variational", "tensorbf": "tensorBF, as published",
    "cp_als": "CP-ALS", "mofa": "MOFA", "pca": "PCA, all omics", "training_mean": "training mean",
}  # fmt: skip
TASKS = {
    "subtype": "PAM50 subtype", "er": "ER", "pr": "PR", "her2": "HER2", "age": "age", "survival": "survival",
    "mut_TP53": "TP53 mutation", "mut_PIK3CA": "PIK3CA mutation", "mut_CDH1": "CDH1 mutation", "": "overall",
}  # fmt: skip


class Metric(NamedTuple):
    """Names of a measure, its unit or range, and which way is better."""

    short: str
    name: str
    unit: str


DIFFERENCE = "_difference"
METRICS = {
    "impute_rmse_entries": Metric("hidden entries", "Error of hidden entries", "RMSE in SD, lower is better"),
    "impute_rmse_omic": Metric("hidden omic", "Error of a whole hidden omic", "RMSE in SD, lower is better"),
    "log_density_entries": Metric("density", "Log density of hidden entries", "nats an entry, higher is better"),
    "auroc": Metric("AUROC", "AUROC", "0.5 is chance"),
    "harrell_c": Metric("C-index", "C-index of survival", "Harrell's C, 0.5 is chance"),
    "factor_match": Metric("match", "Planted factors found", "|correlation|, 1 is perfect"),
    "rank": Metric("rank", "Components", "counted"),
    "eta_squared": Metric("eta²", "Share of rank variance between classes", "0 to 1"),
    "spearman": Metric("Spearman", "Spearman correlation", "-1 to 1"),
    "hazard_ratio": Metric("HR", "Hazard ratio per SD", "1 is none"),
    "nes": Metric("NES", "Normalised enrichment score", "0 is none"),
    "odds_ratio": Metric("odds ratio", "Odds ratio among the strongest genes", "1 is none"),
}
# What is stored of one fit: as the head of a column, and as F.FIT and a reader say it.
QUANTITIES = {
    "n_train": Metric("Training n", "Patients who were fitted", "patients"),
    "n_left_out": Metric("left out", "Training patients without any value in the genes of the fit", "patients"),
    "n_test": Metric("Test n", "Patients who are projected", "patients"),
    "rank": Metric("Components", "Components kept", "components"),
    "r_hat_max": Metric("Largest R-hat", "Largest R-hat", "1: chains agree"),
    "ess_min": Metric("Fewest draws", "Smallest effective number of draws", "draws"),
    "converged": Metric("Converged", "Every watched number passed its limits", "0 or 1"),
    "unjudged": Metric("unjudged", "Watched numbers without R-hat or effective draws", "counted"),
    "stability_min": Metric("Stability between chains", "Lowest |correlation| of a factor between chains", "0 to 1"),
    "genes": Metric("Genes", "Genes chosen in training", "genes"),
    "explained": Metric("explained", "Variance that the kept components explain together", "share, 0 to 1"),
    "noise_sd": Metric("noise", "SD of the noise", "SD of the tensor that was fitted"),
    "omics": Metric("Omics", "Omics that were fitted", "omics"),
}


def method_label(model: str) -> str:
    """Readable name of a factorisation."""
    if model.startswith("single_"):
        return f"{model.removeprefix('single_').replace('_', ' ')} alone"
    return METHODS.get(model, model.replace("_", " "))


def method_order(model: str) -> tuple[int, str]:
    """Ours first, then as published, the peers, single omics, the control."""
    order = list(METHODS)
    control = model == "training_mean"
    place = order.index(model) if model in order else len(order)
    return (place + len(order) if control else place, model)


def metric_order(metric: str) -> tuple[int, str]:
    """The order above, then differences in the same order, then what nobody named."""
    order = [*METRICS, *(name + DIFFERENCE for name in METRICS)]
    return (order.index(metric) if metric in order else len(order), metric)


def task_label(task: str) -> str:
    """Readable name of an endpoint or omic."""
    return TASKS.get(task) or label("task", task)


def metric_name(metric: str) -> Metric:
    """Names of a measure; of one that nobody named, its own with spaces."""
    base = METRICS.get(metric.removesuffix(DIFFERENCE))
    if metric.endswith(DIFFERENCE) and base:
        better = "below" if "lower is better" in base.unit else "above"
        return Metric(f"{base.short}, difference", f"{base.name}: ours minus the other", f"{better} 0 ours is better")
    plain = metric.replace("_", " ")
    return METRICS.get(metric) or Metric(plain, plain, "")


def event_word(metric: str) -> str:
    """What the column ``events`` counts: deaths of survival, else patients of the class that is predicted."""
    return "deaths" if metric.removesuffix(DIFFERENCE) in ("harrell_c", "hazard_ratio") else "positive"


def quantity_note(quantity: str) -> str:
    """What a quantity of a fit is, with its unit; of one that nobody named, its own name with spaces."""
    known = QUANTITIES.get(quantity)
    return f"{known.name} ({known.unit})" if known else quantity.replace("_", " ")


def listed(parts: Sequence[str]) -> str:
    """Words with commas between and "and" before the last."""
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else "".join(parts)
