"""What each table and figure shows, in a sentence or two; the page and the Snakemake report use the same words."""

from __future__ import annotations

from pathlib import Path

from radgen_lib.core.atomic import write_text

FOLDER = "docs/captions"
TABLES: dict[str, str] = {
    "B.ABS1": "Numbers of the preprint's abstract beside the as-published rerun and the rigorous protocol. Where the "
    "text does not say which reading was printed, every reading stands in a line of its own.",
    "B.ABS2": "Numbers of the final article's abstract beside the as-published rerun and the rigorous protocol.",
    "B.TA": "Quality of generated images of held-out patients: the published pixel-row Fréchet statistic, MSE and "
    "SSIM, and feature distances (KID, Fréchet radiomics) with the distance between halves of the real images as "
    "a floor.",
    "B.TB": "Prediction of receptor status, subgroup and mutations from image features, arm by arm. What images add is "
    "the difference between the synthetic arm and the condition alone, the untrained generator or the shuffled "
    "condition; the level of one arm shows only that images made from omics carry omics. The rigorous range is a "
    "patient bootstrap; the as-published one is the spread over random tests of the same patients, and its n is that "
    "of one test.",
    "B.TC": "Survival from image features: out-of-fold C-index with interval and deaths, one log-rank test on pooled "
    "out-of-fold groups (as published: the mean of the p-values of random tests, each split at its own median, which "
    "is the p-value of no test), the clinical comparator, and the published best-of-many-settings search with its "
    "optimism. "
    "The 3,630 settings of that search are 121 distinct fits (11 penalties x 11 shares of LASSO), each tried 30 times "
    "on freshly shuffled folds: step size and the treatment of ties do not move the optimum of the penalised "
    "likelihood.",
    "B.TD": "What the pixel-row Fréchet statistic gives for images that need no model: a copy of another image of the "
    "same patient, another patient's image, the mean training image, noise. The test images are those of the published "
    "single split, so only the released projections have them.",
    "B.F2": "Numbers behind the risk-group curves and the subgroup clusters.",
    "S.ADH": "Does the condition change the image, and towards the right patient? Six tests on held-out patients. "
    "'Conditioned' may be claimed only when permutation and retrieval hold within site and read-back stays below the "
    "ceiling of real images. Test 6 moves one variable of the condition at a time: monotone share and size, shares of "
    "the radiomic families, cosine between the variables' responses (1: all change the image in one way) and agreement "
    "with associations in real held-out images, here over all variables; the CSV has each of them.",
    "S.LEAK": "Patients on both sides of each split and fit, counted, and what that leakage is worth.",
    "S.PRIV": "Do generated images repeat training images? Nearest-training distances against held-out distances, and "
    "membership inference.",
    "S.SIDE": "Every published number of the systems built so far: published, as-published rerun, rigorous, verdict. "
    "Both columns hold the published model; a line named after this project's own model stands below where there is "
    "one.",
}
FIGURES: dict[str, tuple[str, str]] = {
    "cohort_flow": (
        "Flow of the cohort",
        "What each source gave: kept, left out, and why. Arrows follow the images; omics, labels and outcome are "
        "tables of their own, joined by patient: analyses use the labelled patients who have a condition.",
    ),
    "image_grid": (
        "Real and synthetic images side by side",
        "Held-out patients in rows; the real projection first, then one draw of each generator for the same patient's "
        "omics. One grey scale (0 to 1) for all images.",
    ),
    "training_curves": ("Training curves", "Training loss by step, one line per fold and further training."),
    "frechet_reference": (
        "Pixel-row Fréchet distance of references and models",
        "References that need no model (grey) beside models on the published single split (mean of the draws) and the "
        "published numbers (hatched). A model with a longer bar than the copy of a training image is further from the "
        "patient than that copy.",
    ),
    "auroc_forest": (
        "AUROC by arm",
        "Arms with their ranges, of the kind that the legend names; a spread over random tests is no 95 % interval. "
        "Images add something only where the synthetic arm lies right of the condition alone.",
    ),
    "kaplan_meier": (
        "Survival of risk groups",
        "Kaplan-Meier curves of out-of-fold risk groups with 95 % bands and numbers at risk.",
    ),
    "subgroup_pca": (
        "Subgroups in feature space",
        "First two principal components of image features of labelled patients.",
    ),
    "variable_response": (
        "Response to single variables of the condition",
        "One variable moved, the others at the patient's own values (test 6 of S.ADH). Cells: share (%) of each family "
        "of radiomic features in the change (– where it stays below 0.001 SD); size: change of a feature per SD of the "
        "variable, in SD of the real training images; agrees: correlation over features with the associations in real "
        "held-out images, within site (* p below 5 % after Holm, a conservative p; – where patients of the design also "
        "train the generator). The title names the design and n, the patients whose condition was moved. Rows that "
        "look alike: the generator answers to every variable in one way.",
    ),
    "nearest_pairs": (
        "Synthetic images and their nearest training images",
        "The closest pairs first. A copy would be a memorised patient.",
    ),
}


def table_caption(item: str) -> str:
    """Caption of a table, "" for an item nobody described."""
    return TABLES.get(item, "")


def figure_caption(name: str) -> tuple[str, str]:
    """Title and caption of a figure; names may carry a suffix (``auroc_forest_er``); unknown ones keep their name."""
    known = next((key for key in FIGURES if name == key or name.startswith(f"{key}_")), None)
    if known is None:
        return name.replace("_", " "), ""
    title, text = FIGURES[known]
    further = name.removeprefix(known).strip("_").replace("_", " ")
    return (f"{title}: {further}" if further else title), text


def caption_file(name: str) -> str:
    """File of the caption of an item or a figure (``auroc_forest_er``), relative to the repository."""
    known = name if name in TABLES else next((key for key in FIGURES if name == key or name.startswith(f"{key}_")), "")
    return f"{FOLDER}/{known or 'report'}.rst"


def caption_pages() -> dict[str, str]:
    """Path in the repository -> text of the caption files that ``snakemake --report`` shows."""
    pages = {f"{FOLDER}/{item}.rst": f"{text}\n" for item, text in TABLES.items()}
    pages |= {f"{FOLDER}/{name}.rst": f"**{title}.** {text}\n" for name, (title, text) in FIGURES.items()}
    pages[f"{FOLDER}/report.rst"] = (
        "The page a person reads: published numbers beside ours, figures, limits, provenance.\n"
    )
    return pages


def write_captions(root: Path) -> list[str]:
    """Bring the caption files under ``root`` up to date; returns the ones that had drifted."""
    pages = caption_pages()
    drifted = [
        name for name, text in pages.items()
        if not (root / name).exists() or (root / name).read_text(encoding="utf-8") != text
    ]  # fmt: skip
    for name in drifted:
        write_text(root / name, pages[name])
    return drifted
