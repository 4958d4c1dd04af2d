"""Which of the phases of one geometry is pre-contrast, by tags, words of the descriptions and order, in this order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from radgen_lib.imaging.choice import CONFLICT, NO_AGENT, NO_TIME, TOO_EARLY
from radgen_lib.imaging.dicom.classify import POST, PRE, words_of
from radgen_lib.imaging.dicom.split import Part
from radgen_lib.imaging.dicom.timing import TEMPORAL, column

MOST_POSTS = 8
_AGENT_AND_WORD = "the tags name a contrast agent in a phase whose description says pre"


class Names(NamedTuple):
    """Names and decisions of the parts, in their order, and clauses on what speaks against them.

    The decision on a part that is called "other" is the reason why it has no name.
    """

    names: list[str]
    decisions: list[str]
    against: list[str]


class Told(NamedTuple):
    """What tags and descriptions say of each part, whatever the order of the parts.

    ``agent``: a contrast agent is in the tags. ``apart``: these tell phases apart, some have it and some not. ``said``:
    "pre", "post" or "" by the words; where the tags tell the phases apart, a word that all share is left out: it is of
    the protocol. ``shared`` is that word. ``words`` are the descriptions, ``series`` the series.
    """

    agent: list[bool]
    apart: bool
    said: list[str]
    shared: str
    words: list[str]
    series: list[tuple[str, ...]]

    def label(self, part: int) -> str:
        """ "pre", "post", or "" for a part of which neither tags nor words say it."""
        return "post" if self.apart and self.agent[part] else self.said[part]


def told_of(parts: Sequence[Part]) -> Told:
    """Tags and words of ``parts``."""
    agent = [bool(part.rows["contrast"].any()) for part in parts]
    said = [_said(part) for part in parts]
    apart = len(set(agent)) > 1
    shared = said[0] if len(parts) > 1 and len(set(said)) == 1 else ""
    kept = [""] * len(parts) if apart and shared else said
    return Told(agent, apart, kept, shared, [words_of(part) for part in parts], [part.series for part in parts])


def _said(part: Part) -> str:
    words = words_of(part)
    pre, post = PRE.search(words) is not None, POST.search(words) is not None
    return "pre" if pre and not post else "post" if post and not pre else ""


def conflict(told: Told, order: Sequence[int]) -> str:
    """What contradicts: tags and words each other, or ``order`` (indices in time) what both say; "" when nothing does.

    The agent does not leave within an examination: nothing without it, or called "pre", is later than a phase with it.
    """
    if told.apart and any(agent and said == "pre" for agent, said in zip(told.agent, told.said, strict=True)):
        return _AGENT_AND_WORD
    labels = [told.label(part) for part in order]
    if "post" not in labels or set(labels) == {"post"}:
        return ""
    first = labels.index("post")
    if "pre" in labels[first:]:
        return "a phase that tags or description call post-contrast is earlier than one whose description says pre"
    if first == 0:
        return "tags or description of the earliest phase call it post-contrast, those of others do not"
    return ""


def name_in_time(parts: Sequence[Part], told: Told, evidence: str) -> Names:
    """Names of ``parts``, which are in time by ``evidence`` ("" when nothing tells their order); ``told`` is of them.

    Contrast tags that some have and some lack come first, then words of the descriptions, then the order. Where these
    contradict each other no phase gets a name: a post-contrast phase taken for the pre-contrast one would set the
    scale of its study, and a pre-contrast one called post1 would be its index phase.
    """
    count = len(parts)
    labels = [told.label(part) for part in range(count)]
    if count == 1:
        name, why = _single(told.agent[0], told.said[0])
        return Names([name], [why], _against([name], told))
    contradiction = conflict(told, range(count))
    if contradiction and (evidence or contradiction == _AGENT_AND_WORD):
        return _unnamed(count, f"{CONFLICT}: {contradiction}")
    if set(labels) == {"pre"}:
        return _all_pre(told, evidence)
    if not evidence:
        return _without_order(told, labels)
    if set(labels) == {"post"}:
        both = "contrast agent in the tags and the description of every phase"
        whys = [f"{both if all(told.agent) else _why_post(told, k)}, {k + 1} by {evidence}" for k in range(count)]
        return Names(_posts(count), whys, _against(_posts(count), told))
    if told.apart or "pre" in labels:
        return _by_label(told, labels)
    return _by_order(parts, told, labels, evidence)


def _unnamed(count: int, why: str) -> Names:
    return Names(["other"] * count, [why] * count, [])


def _single(agent: bool, said: str) -> tuple[str, str]:
    if agent:
        return ("pre", "description says pre") if said == "pre" else ("post1", "only phase, contrast agent in the tags")
    return (
        ("post1", "description says post") if said == "post" else ("pre", "only phase, no contrast agent in the tags")
    )


def _all_pre(told: Told, evidence: str) -> Names:
    """The last of several series that all say pre, as none has an agent; one series says nothing of its phases."""
    count = len(told.said)
    if any(told.agent):
        return _unnamed(count, f"{CONFLICT}: {_AGENT_AND_WORD}")
    if len(set(told.series)) < count:
        return _unnamed(count, f"{CONFLICT}: the description of a series says pre of all its phases")
    if not evidence:
        return _unnamed(count, NO_TIME)
    names = ["other"] * (count - 1) + ["pre"]
    whys = [TOO_EARLY] * (count - 1) + ["description says pre, the last that does"]
    return Names(names, whys, _against(names, told))


def _without_order(told: Told, labels: list[str]) -> Names:
    """What can be named though nothing tells the order: the only one that can be it."""
    count = len(labels)
    names, whys = ["other"] * count, [NO_TIME] * count
    likely = [k for k in range(count) if labels[k] == "pre"] or [k for k in range(count) if labels[k] == ""]
    said = "pre" in labels
    if len(likely) == 1 and (said or "post" in labels):
        names[likely[0]], whys[likely[0]] = "pre", _why_pre(told, said)
    rest = [k for k in range(count) if names[k] == "other"]
    posts = [k for k in rest if labels[k] == "post" or not told.apart]
    if len(posts) == 1 and (len(rest) == 1 or told.apart):
        why = _why_post(told, posts[0]) if labels[posts[0]] else "description does not say pre"
        names[posts[0]], whys[posts[0]] = "post1", why
    return Names(names, whys, _against(names, told))


def _by_label(told: Told, labels: list[str]) -> Names:
    """Names by tags, or by a description that says pre: the last phase before contrast agent is pre-contrast."""
    count = len(labels)
    first = labels.index("post") if "post" in labels else count
    # Tags are stronger than words: of phases without agent the last is pre-contrast, though an earlier one says pre.
    pre = first - 1 if told.apart else max(k for k in range(count) if labels[k] == "pre")
    names, whys = ["other"] * count, [NO_AGENT if told.apart else TOO_EARLY] * count
    names[pre], whys[pre] = "pre", _why_pre(told, labels[pre] == "pre")
    # A later phase whose tags lack the agent is post-contrast all the same.
    after = range(pre + 1, count)
    for index, name in zip(after, _posts(len(after)), strict=True):
        names[index], whys[index] = name, _why_post(told, index)
    return Names(names, whys, _against(names, told))


def _why_pre(told: Told, said: bool) -> str:
    if told.apart:
        return "no contrast agent in the tags, unlike other phases"
    return "description says pre" if said else "the only one that does not say post"


def _why_post(told: Told, index: int) -> str:
    if told.apart and told.agent[index]:
        return "contrast agent in the tags"
    if told.said[index] == "post":
        return "description says post"
    return "after phases with contrast agent" if told.apart else "after the phase whose description says pre"


def _by_order(parts: Sequence[Part], told: Told, labels: list[str], evidence: str) -> Names:
    """Names where neither tags nor words say which phase is pre-contrast: the first, where all else are its like."""
    count = len(labels)
    if evidence == TEMPORAL and all(told.agent) and column(list(parts), "temporal").min() > 1:
        why = "contrast agent in the tags; the first temporal position is not there"
        return Names(_posts(count), [why] * count, [])
    first = labels.index("post") if "post" in labels else count
    if first < count and len({re.sub(r"\d+", "", words) for words in told.words[:first]}) > 1:
        return _unnamed(count, f"{CONFLICT}: {first} unlike series are earlier than the first that says post")
    names = ["pre", *_posts(count - 1)]
    return Names(names, [f"{k + 1} of {count} by {evidence}" for k in range(count)], _against(names, told))


def _posts(count: int) -> list[str]:
    return [f"post{k + 1}" if k < MOST_POSTS else "other" for k in range(count)]


def _against(names: list[str], told: Told) -> list[str]:
    """Clauses for evidence that speaks against the names and is no contradiction: it is the same for every phase."""
    clauses = []
    if "pre" in names:
        if told.agent[names.index("pre")]:
            clauses.append("though the tags of the pre-contrast phase name a contrast agent")
        elif not any(told.agent) and len(names) > 1:
            clauses.append("no tag names a contrast agent")
        if told.shared == "post":
            clauses.append("though its description says post, as all do")
        if told.apart and "pre" in told.said[: names.index("pre")]:
            clauses.append("though the description of an earlier phase says pre")
    if told.shared == "pre" and any(name.startswith("post") for name in names):
        clauses.append("though the descriptions of all phases say pre")
    return clauses
