"""Classes of variants: what counts as a mutation of a driver, in files of the portal and of a hospital alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from radgen_lib.omics.study.local import read_any_study
from radgen_lib.omics.study.variant_classes import EFFECTS, effect_of, is_known
from radgen_lib.omics.study.vocabulary import variant_kind
from radgen_lib.sources.phantom.mutations import _CLASSES, _CONSEQUENCES

# The classes of MAF (GDC), less the ambiguous "Targeted_Region", and what the portal shows of them.
_MAF = {
    "Missense_Mutation": "changes", "Nonsense_Mutation": "changes", "Nonstop_Mutation": "changes",
    "Splice_Site": "changes", "Splice_Region": "changes", "Frame_Shift_Del": "changes", "Frame_Shift_Ins": "changes",
    "In_Frame_Del": "changes", "In_Frame_Ins": "changes", "Translation_Start_Site": "changes", "Silent": "silent",
    "Intron": "silent", "IGR": "silent", "RNA": "silent", "3'UTR": "silent", "5'UTR": "silent", "3'Flank": "silent",
    "5'Flank": "silent",
}  # fmt: skip
# Terms of VEP by the impact that Ensembl states: HIGH and MODERATE change a protein, MODIFIER does not.
_VEP = {
    "stop_gained": "changes", "frameshift_variant": "changes", "splice_donor_variant": "changes",
    "start_lost": "changes", "inframe_insertion": "changes", "missense_variant": "changes",
    "synonymous_variant": "silent", "stop_retained_variant": "silent", "intron_variant": "silent",
    "3_prime_UTR_variant": "silent", "5_prime_UTR_variant": "silent", "upstream_gene_variant": "silent",
    "downstream_gene_variant": "silent", "intergenic_variant": "silent", "non_coding_transcript_exon_variant": "silent",
}  # fmt: skip


@pytest.mark.parametrize(("text", "effect"), [*_MAF.items(), *_VEP.items()])
def test_classes_of_maf_and_vep(text: str, effect: str) -> None:
    assert effect_of(text) == effect_of(text.upper()) == effect_of(text.replace("_", " ")) == effect
    assert variant_kind(text) == text


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        ("intron_variant&missense_variant", "changes"), ("intron_variant,upstream_gene_variant", "silent"),
        ("Silent; Wildtype", "silent"), ("something new", "unknown"), ("something new&intron_variant", "unknown"),
        ("Amplification", "no variant"), ("Wild type", "no variant"), ("Other", "unknown"), ("Deletion", "unknown"),
    ],
)  # fmt: skip
def test_the_most_severe_counts_and_the_unknown_is_told(text: str, effect: str) -> None:
    assert effect_of(text) == effect
    assert is_known(text) == ("something" not in text and text not in ("Other", "Deletion"))


def test_one_table_for_both_files() -> None:
    """No class passes the vocabulary of hospitals without a meaning, and none has two meanings."""
    assert all(effect_of(word) == effect and variant_kind(word) == word for word, effect in EFFECTS.items())
    assert set(EFFECTS.values()) == {"changes", "silent", "no variant"}
    assert all(is_known(word) for word in (*_CLASSES, *_CONSEQUENCES.values()))


@pytest.mark.parametrize("hidden", [False, True])
def test_what_changes_no_protein_is_no_driver(tmp_path: Path, hidden: bool) -> None:
    classes = [
        "intron_variant", "3_prime_utr_variant", "Synonymous_Variant", "upstream_gene_variant", "missense_variant",
        "Wildtype", "something new",
    ]  # fmt: skip
    names = [f"TCGA-AA-000{place}" for place in range(len(classes))]
    (tmp_path / "expression.csv").write_text(f"gene,{','.join(names)}\nTP53,{','.join('1234567')}\n")
    lines = [f"{name},TP53,{text}\n" for name, text in zip(names, classes, strict=True)]
    (tmp_path / "mutations.csv").write_text("Patient,Gene,Mutation_Type\n" + "".join(lines))
    (tmp_path / "sequenced.txt").write_text("\n".join(names) + "\n")
    study = read_any_study(tmp_path, drivers=["TP53"], rename=str if hidden else None)
    assert study.mutated["mut_TP53"].tolist() == [0, 0, 0, 0, 1, 0, 1]
    told = study.decisions[(study.decisions["step"] == "mutation") & (study.decisions["count"] > 0)]
    assert "its class is no mutation of a gene" in set(told["reason"])
    (strange,) = told.loc[told["decision"] == "counts as non-silent", "item"]
    assert strange == ("Other" if hidden else "something new")
