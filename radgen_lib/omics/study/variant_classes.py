"""What each class of variant means for its gene: one table for files of the portal and of a hospital.

Sources: the classes of MAF as the GDC lists them, the terms of the Sequence Ontology as Ensembl's VEP writes them, and
the portal's rule of what is no mutation of a protein (silent, intron, UTR, flank, between genes, RNA). A region of
splicing counts, as it does there.
"""

from __future__ import annotations

import re
from typing import Literal

Effect = Literal["changes", "silent", "no variant", "unknown"]

_WORDS: dict[Effect, str] = {
    "changes": """
        missense_mutation nonsense_mutation nonstop_mutation splice_site splice_region frame_shift_del frame_shift_ins
        in_frame_del in_frame_ins translation_start_site de_novo_start_inframe de_novo_start_outofframe start_codon_snp
        start_codon_del start_codon_ins stop_codon_del stop_codon_ins fusion missense missense_variant nonsense
        stop_gained stop_lost start_lost frameshift frameshift_variant inframe_deletion inframe_insertion splice
        splice_donor_variant splice_acceptor_variant splice_region_variant protein_altering_variant
        coding_sequence_variant transcript_ablation truncating
    """,
    "silent": """
        silent intron 3'utr 5'utr 3'flank 5'flank igr rna lincrna targeted_region synonymous synonymous_variant
        intron_variant intergenic intergenic_variant 3_prime_utr_variant 5_prime_utr_variant upstream_gene_variant
        downstream_gene_variant stop_retained_variant start_retained_variant incomplete_terminal_codon_variant
        non_coding_transcript_variant non_coding_transcript_exon_variant nmd_transcript_variant mature_mirna_variant
        regulatory_region_variant tf_binding_site_variant
    """,
    # Copy number stands in a matrix of its own; "wild type" says that nothing was found. "Deletion" alone may be a
    # small one or a lost gene, so it is not in the table: unknown.
    "no variant": """
        amplification gain loss deep_deletion homozygous_deletion shallow_deletion copy_number_loss copy_number_gain
        wildtype wild_type wt none no_mutation no_variant not_mutated unmutated
    """,
}
EFFECTS: dict[str, Effect] = {word: effect for effect, words in _WORDS.items() for word in words.split()}
_SEVERITY: tuple[Effect, ...] = ("changes", "unknown", "silent", "no variant")


def effect_of(text: str) -> Effect:
    """What a class means: it changes the protein or its splicing, changes none, is no variant, or nobody knows.

    Case, and a space or hyphen in the place of an underscore, do not matter. Of several classes (between ``&``, ``,``
    or ``;``, as VEP joins the consequences of one variant) the most severe counts.
    """
    found = {EFFECTS.get(_key(part), "unknown") for part in re.split("[&,;]", text)}
    return next(effect for effect in _SEVERITY if effect in found)


def is_known(text: str) -> bool:
    """Whether every class that ``text`` names stands in the table."""
    return all(_key(part) in EFFECTS for part in re.split("[&,;]", text))


def _key(text: str) -> str:
    return re.sub("[ -]+", "_", text.strip().lower())
