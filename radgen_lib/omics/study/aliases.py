"""Current HGNC symbols of genes that older studies name otherwise, proven by the Entrez id where a file has it."""

from __future__ import annotations

import re
from typing import NamedTuple

# Withdrawn symbol (current symbol, Entrez id): cancer genes and genes of the breast signatures whose name changed.
_TABLE = """
MLL KMT2A 4297;MLL2 KMT2D 8085;MLL3 KMT2C 58508;MLL4 KMT2B 9757;MLL5 KMT2E 55904;C11ORF30 EMSY 56946;
FAM123B AMER1 139285;MRE11A MRE11 4361;PARK2 PRKN 5071;WHSC1 NSD2 7468;WHSC1L1 NSD3 54904;SETD8 KMT5A 387893;
HER2 ERBB2 2064;CTGF CCN2 1490;CYR61 CCN1 3491;WISP1 CCN4 8840;NOV CCN3 4856;WISP2 CCN5 8839;ORAOV1 LTO1 220064;
KNTC2 NDC80 10403;CDCA1 NUF2 83540;ORC6L ORC6 23594;FAM64A PIMREG 54478;KIAA0101 PCLAF 9768;C16ORF61 CMC2 56942;
LGP2 DHX58 79132;PECI ECI2 10455;GPR126 ADGRG6 57211;GPR56 ADGRG1 9289;CD97 ADGRE5 976;
SEPT2 SEPTIN2 4735;SEPT4 SEPTIN4 5414;SEPT6 SEPTIN6 23157;SEPT7 SEPTIN7 989;SEPT9 SEPTIN9 10801;
MARCH1 MARCHF1 55016;MARCH2 MARCHF2 51257;MARCH5 MARCHF5 54708;MARCH8 MARCHF8 220972;DEC1 DELEC1 50514;
HIST1H1C H1-2 3006;HIST1H3B H3C2 8358;H2AFX H2AX 3014;H2AFZ H2AZ1 3015;H3F3A H3-3A 3020;H3F3B H3-3B 3021;
FIGF VEGFD 2277;TCEB1 ELOC 6921;TCEB2 ELOB 6923;CASC5 KNL1 57082;ADCK3 COQ8A 56997;ERO1L ERO1A 30001;
FAM175A ABRAXAS1 84142;BRE BABAM2 9577;C19ORF40 FAAP24 91442;PVRL1 NECTIN1 5818;PVRL2 NECTIN2 5819;
PVRL4 NECTIN4 81607;NGFRAP1 BEX3 27018;TMEM66 SARAF 51669;LEPREL1 P3H2 55214;LEPRE1 P3H1 64175;
GARS GARS1 2617;HARS HARS1 3035;AARS AARS1 16;QARS QARS1 5859;ATP5A1 ATP5F1A 498;ATP5B ATP5F1B 506;
SGOL1 SGO1 151648;SGOL2 SGO2 151246;TAZ TAFAZZIN 6901
"""
_DATE = re.compile(r"\d{1,2}-(?:mar|sep|dec|apr|oct)|(?:mar|sep|dec)-\d{1,2}", re.IGNORECASE)


class Alias(NamedTuple):
    """The current name of a withdrawn symbol."""

    symbol: str
    entrez: str


def _parse(text: str) -> dict[str, Alias]:
    words = [entry.split() for entry in text.replace("\n", "").split(";")]
    return {old: Alias(new, entrez) for old, new, entrez in words}


ALIASES = _parse(_TABLE)
_BY_ENTREZ = {alias.entrez: alias.symbol for alias in ALIASES.values()}


def current_symbol(symbol: str, entrez: str = "") -> tuple[str, str]:
    """Return (current symbol, reason): reason is "" where nothing had to be decided; symbol is "" for no gene.

    A withdrawn symbol is replaced unless ``entrez`` names another gene. A symbol that a spreadsheet turned into a
    date, or an absent one, is recovered from ``entrez`` where the table knows it and is no gene otherwise.
    """
    symbol, entrez = symbol.strip(), entrez.strip().removesuffix(".0")
    if not symbol or symbol in ("NA", "---", "?") or symbol.startswith("?|") or _DATE.fullmatch(symbol):
        found = _BY_ENTREZ.get(entrez, "")
        how = f"recovered from Entrez id {entrez}" if found else "no gene symbol"
        return found, f"{how}; the file has {symbol!r}"
    alias = ALIASES.get(symbol.upper())
    if alias is None:
        return symbol, ""
    if entrez.isdigit() and int(entrez) > 0 and entrez != alias.entrez:
        return symbol, f"not renamed to {alias.symbol}: Entrez id is {entrez}, not {alias.entrez}"
    return alias.symbol, f"{symbol} is withdrawn; current symbol {alias.symbol}"
