"""BLiMP: in which of two sentences is the grammar right?

Warstadt et al. 2020, "BLiMP: The benchmark of linguistic minimal pairs for
English": 67 sets of 1,000 pairs, in 12 phenomena. A pair is right when the
good sentence has the higher score; equal scores count half. Guessing gives 50.
"""

import json
import pathlib
import tarfile

import numpy as np

from harness.files import BadRows
from harness.files import DataFileError


def read_pairs(path, limit=None):
    """Reads the sets of BLiMP.

    Args:
        path: string or path of the archive, or of a folder with its files
            (`*.jsonl`).
        limit: int or `None`. Pairs of each set, from the front. Defaults to
            `None`: all.

    Returns:
        List of dicts with `set`, `phenomenon`, `good` and `bad`.

    Raises:
        FileNotFoundError: there is no such file or folder, or no set in it.
        DataFileError: a line is no pair; all that are none come at once.
    """
    pairs, bad = [], BadRows()
    for name, text in _files(pathlib.Path(path)):
        lines = enumerate(text.split("\n")[:limit], start=1)
        for number, line in lines:
            with bad.row():
                if line.strip():
                    pairs.append(_pair(name, number, line))
    bad.check()
    if not pairs:
        raise FileNotFoundError(
            f"Expected BLiMP's `*.jsonl` files in {path}. Found none."
        )
    return pairs


def accuracies(pairs, scores):
    """Share of pairs whose good sentence scores higher, in percent.

    Args:
        pairs: list from `read_pairs`.
        scores: array of shape `(pairs, 2)`: of the good and of the bad
            sentence.

    Returns:
        dict: `sets` and `phenomena`, dicts from names to percent, and
        `overall`. A phenomenon is the mean of its sets, and `overall` that of
        all sets, as in BLiMP's paper.
    """
    scores = np.asarray(scores)
    right = (scores[:, 0] > scores[:, 1]) + 0.5 * (scores[:, 0] == scores[:, 1])
    of_set, sets_of = {}, {}
    for pair, value in zip(pairs, right):
        of_set.setdefault(pair["set"], []).append(value)
        sets_of.setdefault(pair["phenomenon"], set()).add(pair["set"])
    sets = {name: 100.0 * float(np.mean(of_set[name])) for name in of_set}
    return {
        "sets": sets,
        "phenomena": {
            name: float(np.mean([sets[s] for s in sets_of[name]]))
            for name in sorted(sets_of)
        },
        "overall": float(np.mean(list(sets.values()))),
    }


def score_pairs(score, task, pairs, **kwargs):
    """Scores both sentences of pairs.

    Args:
        score: function of `harness/sentence_scores.py`.
        task: what it takes.
        pairs: list from `read_pairs`.
        **kwargs: of `score`.

    Returns:
        float64 array of shape `(pairs, 2)`.
    """
    # Most sentences are in several pairs, or alike in length at least.
    texts = sorted(
        {p[side] for p in pairs for side in ("good", "bad")}, key=len
    )
    found = dict(zip(texts, score(task, texts, **kwargs)))
    return np.array([[found[p["good"]], found[p["bad"]]] for p in pairs])


def _pair(name, number, line):
    fields = {
        "set": "UID",
        "phenomenon": "linguistics_term",
        "good": "sentence_good",
        "bad": "sentence_bad",
    }
    try:
        row = json.loads(line)
        pair = {ours: row[theirs] for ours, theirs in fields.items()}
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise DataFileError(
            name,
            number,
            f"expected a JSON object with {', '.join(fields.values())}. "
            f"Found {line[:80]!r}: {error!r}.",
        ) from error
    return pair


def _files(path):
    """Names and texts of the sets."""
    if path.is_dir():
        for file in sorted(path.glob("*.jsonl")):
            yield str(file), file.read_text(encoding="utf-8")
        return
    with tarfile.open(path) as archive:
        for member in sorted(archive.getmembers(), key=lambda m: m.name):
            if member.name.endswith(".jsonl"):
                text = archive.extractfile(member).read().decode("utf-8")
                yield f"{path}/{member.name}", text
