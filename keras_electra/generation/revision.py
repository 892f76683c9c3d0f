"""Repair: what is suspected is masked, proposed for and judged again.

A loop that keeps what lowers the suspicion fools its own judge, which grows
content while the text gets worse. So a change has to win by a margin with the
network that proposes it as well, by calibrated probabilities.
"""

import dataclasses
import itertools
import re
import typing
from typing import Any

import numpy as np

from keras_electra.arguments import check_count
from keras_electra.arguments import check_number
from keras_electra.generation import rounds
from keras_electra.tasks.calibration import Calibrates
from keras_electra.tasks.explanation import Page
from keras_electra.tasks.explanation import escape

MASKED_SHARE = 0.15  # of the tokens of a text that are masked at a time
GRID = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
STOPS = "precision", "clean", "no accepted change", "rounds"
ROW = "<tr><td>{}</td><td>{}</td></tr>"
LOOKS = (  # of what was suspected, and of what was changed
    '<span style="text-decoration:line-through;background:#fdb863">{}</span>',
    '<span style="background:#b2abd2">{}</span>',
)


class Edit(typing.NamedTuple):
    """A word piece that was replaced.

    Attributes:
        start, end: ints, characters of the text before.
        old, new: str. What stood there, and what stands there now.
        before, after: floats. Probabilities that these are wrong.
        round: int, from 1.
    """

    start: int
    end: int
    old: str
    new: str
    before: float
    after: float
    round: int


@dataclasses.dataclass
class Revision(Page):
    """A text as `ElectraTextGenerator` has left it; `str` gives the text.

    Notebooks, and `save("page.html")`, show the rounds one under the other:
    struck out what was suspected and is masked, in colour what was changed.

    Attributes:
        text: string.
        edits: list of `Edit`, in the order of the text; of `revise`.
        rounds: list of `(tokens, suspected, changed)`: the word pieces of a
            row after the round, and sets of places in it.
        stopped_by: string. `"clean"`, nothing is suspected; `"precision"`, it
            was reached; `"no accepted change"`; or `"rounds"`, were used up.
    """

    text: str
    edits: list[Edit]
    rounds: list[tuple[list[str], set[int], set[int]]]
    stopped_by: str
    title = "Rounds"

    def __str__(self) -> Any:
        return self.text

    def _repr_html_(self):
        rows = ""
        for number, (tokens, *marked) in enumerate(self.rounds, 1):
            tokens = [*map(escape, tokens)]
            for places, look in zip(marked, LOOKS):
                for i in places:
                    tokens[i] = look.format(tokens[i])
            rows += ROW.format(number, " ".join(tokens))
        rows += ROW.format(self.stopped_by, escape(self.text))
        return f"<table>{rows}</table>"


def show(tokenizer: Any, row: Any, steps: Any) -> list[Any]:
    """`Revision.rounds` of a row (int) of a batch."""
    return [
        (
            [tokenizer.id_to_token(int(i)) for i in ids[row]],
            *(set(np.flatnonzero(flags[row]).tolist()) for flags in marked),
        )
        for ids, *marked in steps
    ]


def apply_edits(text: Any, edits: Any) -> str:
    """The text after `Edit`s of its word pieces, in their order."""
    parts, at = [], 0
    for edit in edits:
        before, new = text[at : edit.start], edit.new
        if new.startswith("##"):  # it goes on a word
            before, new = before.rstrip(), new[2:]
        elif edit.old.startswith("##"):
            new = f" {new}"
        if text[edit.start : edit.end].istitle():
            new = new[:1].upper() + new[1:]
        parts += [before, new]
        at = edit.end
    return "".join([*parts, text[at:]])


class Revises(Calibrates):
    """`revise` and `calibrate` of `ElectraTextGenerator`."""

    is_exclusive = False  # a token is wrong or not, which is judged apart

    def revise(
        self,
        texts: object,
        max_rounds: int = 10,
        threshold: float | None = None,
        margin: float | None = None,
        precision: float | None = None,
        protect: object = None,
        batch_size: int = 32,
    ) -> "Revision | list[Revision]":
        """Replaces word pieces that look wrong: a `Revision`, or a list.

        All else stays as it is written. Each word piece is replaced once at
        most, and their number stays: every loop ends.

        Args:
            texts: a string or a list, of at most `sequence_length - 3` tokens.
            max_rounds, batch_size: ints. Texts of a batch are of alike length.
            threshold, margin: floats, by default the task's. What is wrong
                with a higher probability is masked; a proposal is taken if that
                falls by the margin, for what proposes and for what judges.
            precision: float in (0, 1) or `None`. Mean probability of being
                right at which a text is left as it is.
            protect: string, list or `None`: parts of the texts not to change.
        """
        check_count("max_rounds", max_rounds)
        threshold = self.threshold if threshold is None else threshold
        margin = self.margin if margin is None else margin
        check_limits(threshold, margin)
        if precision is not None:
            check_number("precision", precision, above=0, below=1)
        texts, is_one = self.read_inputs(texts, "revise")
        protect = [protect] if isinstance(protect, str) else protect or []
        for part in protect:
            if not part or not any(part in text for text in texts):
                raise ValueError(
                    "`protect` must hold parts of the texts, as they are "
                    f"written there. No text has {part!r}."
                )
        kept = re.compile("|".join(map(re.escape, protect)) or "(?!)")
        results, how = [None] * len(texts), (threshold, margin, precision)
        tokenizer = self.preprocessor.tokenizer
        for places, x, movable, offsets in self._rows_of(texts, batch_size):
            for row, place in enumerate(places):
                spans = [found.span() for found in kept.finditer(texts[place])]
                for at, (start, end) in enumerate(offsets[row], 1):
                    if any(a < end and start < b for a, b in spans):
                        movable[row, at] = False  # it is protected
            steps, edits, stopped = repair(self, x, movable, max_rounds, *how)
            for row, place in enumerate(places):
                at = [(0, 0), *offsets[row]]
                found = sorted(Edit(*at[i], *edit) for i, edit in edits[row])
                text = apply_edits(texts[place], found)
                shown = show(tokenizer, row, steps), stopped[row]
                results[place] = Revision(text, found, *shown)
        return results[0] if is_one else results

    def calibrate(self, texts, method="auto", max_broken=0.002, batch_size=32):
        """Learns how sure it may be and when a change pays: `calibration`.

        A third of the texts stays as it is; a tenth of the tokens of others is
        drawn from the network, or from the tokens of the texts. Probabilities
        are fitted to what was changed, then `threshold` and `margin` are those
        that put most tokens right in a round. The task saves all of them;
        `fit` drops `calibration`.

        Args:
            texts, batch_size: hundreds of strings that it was not trained on.
            method: `"platt"`, the default, or `"temperature"`, without a bias.
            max_broken: float. Share of right tokens that a round may break.
        """
        check_number("max_broken", max_broken, at_least=0, at_most=1)
        super().calibrate(texts, None, method, batch_size)
        tried = []
        for x, movable, ids, scores in self._corrupted(texts, batch_size):
            p, right = self.probabilities(scores), x["token_ids"]
            new, _, after = _replace(self, x, ids, p, movable, GRID[1])
            gained = np.int32(new == right) - (ids == right)
            tried.append((p, p - after, gained, ids == right, movable))
        tried = [[a[movable] for a in arrays] for *arrays, movable in tried]
        p, gain, gained, right = map(np.concatenate, zip(*tried))
        best = -1
        for threshold, margin in itertools.product(GRID[1:], GRID):
            taken = gained[(p > threshold) & (gain >= margin)]
            is_fine = (taken < 0).sum() <= max_broken * right.sum()
            if is_fine and taken.sum() > best:
                best = taken.sum()
                self.threshold, self.margin = threshold, margin
        return self.calibration

    def _judge(self, texts, labels, batch_size):
        found = self._corrupted(texts, batch_size)
        pairs = [(s[m], (i != x["token_ids"])[m]) for x, m, i, s in found]
        scores, wrong = map(np.concatenate, zip(*pairs))
        return np.float64(scores)[:, None], np.float64(wrong)[:, None]

    def _corrupted(self, texts, batch_size):
        """Rows, what may be changed, ids of which some are wrong, scores."""
        texts, _ = self.read_inputs(list(texts), "calibrate")
        if len(texts) < 3:  # of which one stays as it is
            raise ValueError(
                "`texts` must be hundreds of texts, or at least 3. Received: "
                f"{len(texts)}."
            )
        draws, found = np.random.default_rng(0), []
        for places, x, movable, _ in self._rows_of(texts, batch_size):
            movable[len(places) :] = False
            kinds = np.array(["clean", "words", "draws"])
            kinds = kinds[np.resize(places, len(movable)) % 3]
            ids = corrupt(self, x, movable, kinds, draws)
            found.append((x, movable, ids, rounds.judge(self, x, ids)))
        return found

    def _rows_of(self, texts, batch_size):
        """Yields places, rows, what may be changed, and offsets of tokens."""
        self.check_networks(judges=True)
        ids, offsets = self.preprocessor.tokenizer.encode_with_offsets(texts)
        padded = [self.preprocessor.pad(*row) for row in zip(ids, texts)]
        for places, rows in rounds.batches(map(len, padded), batch_size):
            x = self.preprocessor.pack([padded[i] for i in rows])
            at = np.arange(x["token_ids"].shape[1])[None]
            movable = (at > 0) & (at <= [[len(ids[i])] for i in rows])
            yield places, x, movable, [offsets[i] for i in rows]


def check_limits(threshold: Any, margin: Any) -> None:
    """Raises unless both are numbers that `revise` can go by."""
    check_number("threshold", threshold, at_least=0, below=1)
    check_number("margin", margin, above=-1, below=1)


def corrupt(task: Any, x: Any, movable: Any, kinds: Any, draws: Any) -> Any:
    """Ids of rows `(B, L)`, of which a tenth of what is movable is wrong.

    `kinds` says of each row what stands there: `"clean"`, nothing wrong,
    `"words"`, tokens drawn from those of the batch, or `"draws"`, of the
    network; `draws` is a generator of NumPy.
    """
    ids, counts = x["token_ids"], np.round(0.1 * movable.sum(1))
    counts = counts * (kinds != "clean")
    chosen = rounds.largest(draws.random(ids.shape), movable, counts)
    given = ids, chosen, draws.random(ids.shape)
    drawn, _, _ = rounds.propose(task, x, *given, temperature=1.0)
    words = draws.choice(ids[movable], ids.shape)
    return np.where(chosen & (kinds[:, None] == "words"), words, drawn)


def _replace(task, x, ids, p, candidates, threshold):
    """Ids with the best proposals, what was masked, and how wrong they are."""
    most = np.ceil(MASKED_SHARE * candidates.sum(1))
    masked = rounds.largest(p, candidates & (p > threshold), most)
    new, confidence, _ = rounds.propose(task, x, ids, masked)
    wrong = task.probabilities(rounds.judge(task, x, new))
    wrong = np.maximum(1 - confidence, wrong)
    return new, masked, np.where(new != ids, wrong, 2)


def repair(task, x, movable, max_rounds, threshold, margin, precision):
    """Rounds as of `rounds.write`, edits with columns, why each row stopped."""
    steps, edits, stopped = [], [[] for _ in movable], np.full(len(movable), "")
    token, ids = task.preprocessor.tokenizer.id_to_token, x["token_ids"]
    is_open, changed = movable, ~movable
    for number in range(max_rounds + 1):
        p = task.probabilities(rounds.judge(task, x, ids)) * ~changed
        right = 1 - p.sum(1) / np.maximum(movable.sum(1), 1)
        ends = (
            right >= (np.inf if precision is None else precision),
            p.max(1) <= threshold,
            (p * is_open).max(1) <= threshold,
            np.full(len(p), number == max_rounds),
        )
        stopped = np.where(stopped == "", np.select(ends, STOPS, ""), stopped)
        going = (stopped == "")[:, None]
        if not going.any():
            return steps, edits, stopped.tolist()
        candidates = is_open & going & ~changed
        new, masked, after = _replace(task, x, ids, p, candidates, threshold)
        accepted = masked & (p - after >= margin)
        for row, at in np.argwhere(accepted).tolist():
            words = token(int(ids[row, at])), token(int(new[row, at]))
            numbers = float(p[row, at]), float(after[row, at])
            edits[row].append((at, (*words, *numbers, number + 1)))
        ids, changed = np.where(accepted, new, ids), changed | accepted
        steps.append((ids, masked, accepted))
        # What was refused is tried again when something else has changed.
        is_open = is_open & ~masked | accepted.any(1, keepdims=True)
