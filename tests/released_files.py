"""A small made-up cohort in exactly the formats of the released files: names, separators, quoting, quirks.

Patients, values and series UIDs are invented. One latent number per patient moves expression, factors, labels,
survival and the images, so that every stage of the workflow has something to find. As in the real files the
expression table holds second samples (``.1``, ``.2``) and METABRIC rows, receptors hold undecided HER2 words, the
survival table holds one negative, two zero and one missing time, the subgroup table has no header and no last line
end, and some images belong to one patient.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from radgen_lib.core.config.cpdm import GENES

NAMES = {
    "btf_features": "BTF_features.csv",
    "side_view_index": "SideViewBTF.csv",
    "side_png": "SidePNG128.zip",
    "gene_expression": "allGeneExprs.csv",
    "mutations": "all_genes.csv",
    "receptors": "CliniUnOpHer2.csv",
    "subgroups": "TCGABRCA_HER2+ER+_subtypes.csv",
    "survival_a": "TCGABRCA_survival.csv",
    "survival_b": "TCGA_BRCA_survival.csv",
    "clinical": "data_clinical_patient.txt",
}
# What each fault plants. Faults of a row (selection rows):
ROW_FAULTS = {
    "no_expression": "the last imaged patient is not in the expression table",
    "text_in_expression": "a patient without MRI has the word `high` in a cell",
    "negative_expression": "a patient without MRI has a negative cell",
    "unknown_label": "codes nobody knows: er 7, her2 Maybe, Subgroup9, TP53 x",
    "bad_survival": "three more patients with a negative, a zero and a text time",
    "factor_text": "a factor cell of one patient is text",
    "broken_png": "the bytes of the last image are cut",
    "small_png": "the last image is 64 x 64",
    "coloured_png": "the last image has unequal colour channels",
    "foreign_row": "a row of the label table has an identifier of no TCGA patient",
    "most_series_lost": "more than half of the imaged patients are not in the expression table (stops the run)",
}
# Faults of structure (DataError):
STRUCTURE_FAULTS = {
    "png_count": "one PNG is not in the archive",
    "png_number": "one PNG has another number",
    "truncated_zip": "the archive ends half way",
    "zip_outside": "the archive holds a path outside its folder",
    "missing_column": "the mutation table lacks TP53",
    "double_header": "the expression table holds a gene twice",
    "empty_file": "the receptor table is empty",
    "not_utf8": "the receptor table is not UTF-8",
    "conflict_markers": "the mutation table holds the markers of an unfinished merge",
}
_CLINICAL = ("PATIENT_ID", "SUBTYPE", "CANCER_TYPE_ACRONYM", "AGE", "AJCC_PATHOLOGIC_TUMOR_STAGE", "OS_STATUS")
_SUBTYPES = ("BRCA_LumA", "BRCA_LumB", "BRCA_Basal", "BRCA_Her2", "")
_STAGES = ("STAGE I", "STAGE IIA", "STAGE IIIA", "STAGE X", "")
_UNDECIDED = ("Equivocal", "[Not Evaluated]", "Indeterminate", "[Not Available]")
_OTHER_SITES = ("A1", "A2", "A7", "A8", "BH", "C8", "D8", "E9")
_DRIVERS = ("AKT1", "CDH1", "ERBB2", "GATA3", "PIK3CA", "TP53")


@dataclass(frozen=True)
class Person:
    """One invented patient: identifier with dashes, latent number, and the labels drawn from it."""

    name: str
    latent: float
    expression: np.ndarray
    er: int
    her2: str
    mutations: tuple[int, ...]
    months: float
    died: int

    @property
    def dotted(self) -> str:
        return self.name.replace("-", ".")


def write_released(
    folder: Path,
    *,
    patients: int = 12,
    images: int = 18,
    others: int = 60,
    seed: int = 0,
    faults: Collection[str] = (),
) -> dict[str, Path]:
    """Write the ten files into ``folder`` and return them by registry name.

    ``patients`` imaged patients of the sites AO, AR and E2 have ``images`` projections together; ``others`` have
    omics only. ``faults`` are keys of :data:`ROW_FAULTS` and :data:`STRUCTURE_FAULTS`.
    """
    unknown = set(faults) - set(ROW_FAULTS) - set(STRUCTURE_FAULTS)
    if unknown or images < patients:
        raise ValueError(f"unknown faults {sorted(unknown)}, or fewer images than patients")
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    imaged = [_person(rng, name) for name in imaged_names(patients)]
    rest = [_person(rng, name) for name in other_names(others)]
    owners = _owners(imaged, images)
    paths = {key: folder / name for key, name in NAMES.items()}
    everyone = imaged + rest
    texts = {
        "gene_expression": _expression(rng, imaged, rest, faults),
        "btf_features": _factors(rng, owners, rest, faults),
        "side_view_index": "0,1\n" + "".join(f"{i},{_series(p, i)}\n" for i, p in enumerate(owners)),
        "mutations": _mutations(everyone, faults),
        "receptors": _receptors(everyone, faults),
        "subgroups": _subgroups(everyone, faults),
        "survival_a": _survival_a(everyone, rest, faults),
        "survival_b": ",time,status\r\n" + "".join(f"{p.dotted},{_days(p):.0f},{p.died}\r\n" for p in everyone),
        "clinical": _clinical(rng, everyone),
    }
    for key, text in texts.items():
        paths[key].write_bytes(text.encode("utf-8"))
    if "not_utf8" in faults:
        paths["receptors"].write_bytes(texts["receptors"].encode() + "TCGA.A1.Ä000,1,1,Negative\n".encode("latin-1"))
    _write_images(paths["side_png"], rng, owners, faults)
    return paths


def _person(rng: np.random.Generator, name: str) -> Person:
    latent = float(rng.normal())
    slopes = np.where(np.arange(len(GENES)) % 3 == 2, 0.0, np.where(np.arange(len(GENES)) % 2, 0.5, 0.8))
    expression = np.exp(2.0 + slopes * latent + 0.4 * rng.normal(size=len(GENES)))
    er = int(latent + 0.5 * rng.normal() > -0.5)
    her2 = _UNDECIDED[int(rng.integers(4))] if rng.random() < 0.25 else ("Positive", "Negative")[rng.random() < 0.5]
    mutations = tuple(int(sign * latent + rng.normal() > 0.6) for sign in (0.2, 0.3, 0.1, -0.2, 0.8, -1.0))
    months = round(float(rng.exponential(40.0 * np.exp(-0.5 * latent))) + 1.0, 2)
    return Person(name, latent, expression, er, her2, mutations, months, int(rng.random() < 0.35))


def other_names(others: int) -> list[str]:
    """Patients without MRI."""
    return [f"TCGA-{_OTHER_SITES[i % 8]}-B{i:03d}" for i in range(others)]


def imaged_names(patients: int) -> list[str]:
    """Imaged patients, of the sites AO, AR and E2."""
    sites = sorted(("AO", "AR", "E2", "E2")[i % 4] for i in range(patients))
    return [f"TCGA-{site}-A{i:03d}" for i, site in enumerate(sites)]


def _owners(imaged: list[Person], images: int) -> list[Person]:
    """Whose image each number is: the first patients have several images, as the AO patients of the real files."""
    extra = images - len(imaged)
    counts = [1 + extra // len(imaged) + (i < extra % len(imaged)) for i in range(len(imaged))]
    return [person for person, count in zip(imaged, counts, strict=True) for _ in range(count)]


def _series(person: Person, number: int) -> str:
    return f"{person.name}_1.2.826.0.1.3680043.8.498.{1000 + number}"


def _lost(imaged: list[Person], faults: Collection[str]) -> list[str]:
    if "most_series_lost" in faults:
        return [person.name for person in imaged[: len(imaged) // 2 + 1]]
    return [imaged[-1].name] if "no_expression" in faults else []


def _expression(rng: np.random.Generator, imaged: list[Person], rest: list[Person], faults: Collection[str]) -> str:
    genes = [*GENES[:-1], GENES[0]] if "double_header" in faults else list(GENES)
    lines = ["ID," + ",".join(genes)]
    for person in imaged + rest:
        cells = [f"{value:.14g}" for value in person.expression]
        if person is rest[0] and "text_in_expression" in faults:
            cells[4] = "high"
        if person is rest[1] and "negative_expression" in faults:
            cells[2] = "-0.5"
        names = [person.dotted]
        if person is rest[2]:
            names = [f"{person.dotted}.1", f"{person.dotted}.2"]  # listed without its plain name
        elif person is rest[3]:
            names = [person.dotted, f"{person.dotted}.1", f"{person.dotted}.2"]
        if person.name not in _lost(imaged, faults):
            lines.append(f"{names[0]},{','.join(cells)}")
        lines += [f"{name},{','.join(f'{v * 1.1:.14g}' for v in person.expression)}" for name in names[1:]]
    lines += [f"MB.{i:04d},{','.join(f'{v:.9g}' for v in rng.normal(7, 1, len(GENES)))}" for i in range(5)]
    return "\n".join(lines) + "\n"


def _factors(rng: np.random.Generator, owners: list[Person], rest: list[Person], faults: Collection[str]) -> str:
    lines, vectors = [], {}
    series = [(person, i) for i, person in enumerate(owners)] + [(person, 500 + i) for i, person in enumerate(rest[:6])]
    for person, number in series:
        if person.name not in vectors:
            vector = rng.normal(scale=0.8, size=17) + person.latent * np.linspace(0.6, 0.0, 17)
            vector[15:] = 57.2 + 0.7 * rng.normal(), -7.4 + 0.9 * rng.normal()
            vectors[person.name] = [f"{value:.9f}" for value in vector]
        cells = vectors[person.name]
        if person is rest[5] and "factor_text" in faults:
            cells = ["#REF!", *cells[1:]]
        lines.append(f"{_series(person, number)},{','.join(cells)}")
    return "\r\n".join(lines) + "\r\n"


def _mutations(everyone: list[Person], faults: Collection[str]) -> str:
    drivers = _DRIVERS[:-1] if "missing_column" in faults else _DRIVERS
    lines = ["ID,Altered," + ",".join(drivers)]
    for i, person in enumerate(everyone):
        cells = [str(value) for value in person.mutations[: len(drivers)]]
        if i == len(everyone) - 1 and "unknown_label" in faults:
            cells[-1] = "x"
        lines.append(f"{person.dotted},{int(any(person.mutations))},{','.join(cells)}")
    if "conflict_markers" in faults:
        lines.insert(4, "<<<<<<< HEAD")
    return "\n".join(lines) + "\n"


def _receptors(everyone: list[Person], faults: Collection[str]) -> str:
    if "empty_file" in faults:
        return ""
    lines = ["ID,er,pr,her2"]
    for i, person in enumerate(everyone):
        er, her2 = str(person.er), person.her2
        if "unknown_label" in faults and i >= len(everyone) - 2:
            er, her2 = ("7", her2) if i == len(everyone) - 1 else (er, "Maybe")
        lines.append(f"{person.dotted},{er},{person.er},{her2}")
    if "foreign_row" in faults:
        lines.append("PATIENT.7,1,1,Negative")
    return "\n".join(lines) + "\n"


def _subgroups(everyone: list[Person], faults: Collection[str]) -> str:
    # Every second one without MRI: more than the real share, so that small cohorts have enough for folds.
    members = everyone[len(everyone) % 2 :: 2]
    lines = [f'"{person.dotted}","Subgroup{1 if person.latent > 0 else 2}"' for person in members]
    if "unknown_label" in faults:
        lines[-1] = f'"{members[-1].dotted}","Subgroup9"'
    return "\n".join(lines)


def _days(person: Person) -> float:
    return person.months * 30.44


def _survival_a(everyone: list[Person], rest: list[Person], faults: Collection[str]) -> str:
    odd = {rest[6].name: "-6.9", rest[7].name: "0", rest[8].name: "0", rest[9].name: "NA"}
    if "bad_survival" in faults:
        odd |= {rest[10].name: "-1", rest[11].name: "0", rest[12].name: "soon"}
    lines = ['"","OS_STATUS","OS_MONTHS"']
    for person in everyone:
        time = odd.get(person.name, f"{person.months * 30:.12g}")
        lines.append(f'"{person.dotted}",{"NA" if time == "NA" else person.died},{time}')
    return "\n".join(lines) + "\n"


def _clinical(rng: np.random.Generator, everyone: list[Person]) -> str:
    lines = [
        "#" + "\t".join(name.replace("_", " ").title() for name in _CLINICAL),
        '#Description, with a loose " quotation mark\t' + "\t".join("x" * (len(_CLINICAL) - 1)),
        "#STRING\tSTRING\tSTRING\tNUMBER\tSTRING\tSTRING",
        "#1\t1\t1\t1\t1\t1",
        "\t".join(_CLINICAL),
    ]
    for i, person in enumerate(everyone):
        age = "" if i == len(everyone) - 3 else str(int(np.clip(58 + 13 * rng.normal(), 26, 90)))
        subtype, stage = _SUBTYPES[int(rng.integers(5))], _STAGES[int(rng.integers(5))]
        lines.append("\t".join([person.name, subtype, "BRCA", age, stage, f"{person.died}:STATUS"]))
    return "\n".join(lines) + "\n"


def _projection(rng: np.random.Generator, person: Person) -> np.ndarray:
    """Breast-like uint8 [128, 128]: a half ellipse at the right edge, glandular blobs, brightness by the latent."""
    y, x = np.mgrid[0:128, 0:128] / 127.0
    distance = ((x - 1.0) / (0.65 + 0.05 * rng.normal())) ** 2 + ((y - 0.5) / 0.42) ** 2
    image = 0.35 / (1.0 + np.exp((distance - 1.0) * 12.0))
    for _ in range(4):
        cx, cy, size = rng.uniform(0.5, 0.9), rng.uniform(0.3, 0.7), rng.uniform(0.05, 0.15)
        blob = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * size**2))
        image += blob * (0.12 + 0.06 * np.tanh(person.latent)) * (distance < 1)
    image += 0.01 * rng.normal(size=image.shape)
    return (np.clip(image, 0, 1) * 255).astype(np.uint8)


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def _write_images(path: Path, rng: np.random.Generator, owners: list[Person], faults: Collection[str]) -> None:
    contents = []
    for person in owners:
        grey = _projection(rng, person)
        contents.append(np.repeat(grey[..., None], 3, axis=2))
    if "small_png" in faults:
        contents[-1] = contents[-1][::2, ::2]
    if "coloured_png" in faults:
        contents[-1] = contents[-1].copy()
        contents[-1][64, 64, 1] ^= 1
    members = {f"SidePNG128/{i:03d}.png": _png(pixels) for i, pixels in enumerate(contents)}
    last = f"SidePNG128/{len(owners) - 1:03d}.png"
    if "broken_png" in faults:
        members[last] = members[last][: len(members[last]) // 2]
    if "png_count" in faults:
        del members[last]
    if "png_number" in faults:
        members["SidePNG128/900.png"] = members.pop(last)
    if "zip_outside" in faults:
        members["../outside.png"] = members["SidePNG128/000.png"]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in rng.permutation(sorted(members)):  # the real archive is not in order either
            archive.writestr(zipfile.ZipInfo(str(name), (2023, 2, 5, 11, 12, 0)), members[str(name)])
    if "truncated_zip" in faults:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def write_registry(folder: Path, files: Mapping[str, Path], *, wrong_checksum: str | None = None) -> Path:
    """Write ``folder/registry.yaml`` for ``files``, with true sizes and checksums and paths relative to ``folder``.

    ``wrong_checksum`` names one file whose entry gets the checksum of something else.
    """
    entries = {}
    for name, path in files.items():
        content = path.read_bytes()
        digest = hashlib.sha256(content + (b"x" if name == wrong_checksum else b"")).hexdigest()
        entries[name] = {
            "what": "invented data in the format of the released file",
            "url": f"https://example.org/released/{path.name}",
            "filename": path.name,
            "bytes": len(content),
            "sha256": digest,
            "licence": "invented",
            "citation": "Invented for the tests of radgen",
            "mirror_path": path.relative_to(folder).as_posix(),
        }
    target = folder / "registry.yaml"
    target.write_text(yaml.safe_dump({"sources": entries}, sort_keys=False), encoding="utf-8")
    return target
