"""Rounds of writing: fill some masked tokens, judge all, mask some again.

One call of the networks a round, compiled once for each shape. Only what is
filled goes through the vocabulary. All else is NumPy, by numbers drawn for each
text from a seed of its own: what is written does not depend on the batch.

Shapes: B batch, L length, P positions that are filled, V vocabulary.
"""

import itertools
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_electra.data import inputs
from keras_electra.data.batches import round_length
from keras_electra.pretraining.sampling import sample_tokens

JUDGED = ("discriminator", "joined")
GUIDES = (*JUDGED, "confidence", "random")
ONE, SOME = -1, -2  # in place of ids: a blank of a token, or of padding too
# What is judged is filled in this share of the rounds; the rest are for second
# thoughts. A round masks at most this share of it again, falling to 0.
FIRST_SHARE, AGAIN_SHARE = 0.75, 0.3
BANNED = -1e4  # the score of what must not be drawn


class Round(keras.Model):
    """Both networks: draws `ids`, their `confidence` `(B, P)`, and `scores`.

    Takes rows; `mask_positions`, which of them `may_pad`, 0 or 1, and `uniform`
    numbers to draw by, `(B, P)`; temperature and top-p, `settings` `(B, 2)`.
    The `way` "nucleus" obeys both, "scaled" the first, "plain" neither, and
    "best" draws nothing. Confidence is a probability at temperature 1; scores
    `(B, L)`, of a discriminator, are positive for what looks replaced.
    """

    def __init__(self, task: Any, way: Any):
        super().__init__(dtype="float32")
        self.generator, self.backbone = task.generator, task.backbone
        self.generator_head: Any = task.generator_head
        self.discriminator_head, self.way = task.discriminator_head, way
        tokenizer = task.preprocessor.tokenizer
        self.pad_token_id: Any = tokenizer.pad_token_id
        banned = np.zeros(task.backbone.vocabulary_size, "bool")
        banned[tokenizer.special_token_ids] = True
        banned[tokenizer.vocabulary_size() :] = True
        banned[self.pad_token_id] = False
        self.banned, self.built = banned, True
        self.jit_compile, self.run_eagerly = task.jit_compile, task.run_eagerly

    def call(self, x: Any) -> Any:
        rows = {name: x[name] for name in inputs.NAMES}
        states = self.generator(rows)["sequence_output"]
        logits = self.generator_head(states, x["mask_positions"])  # (B, P, V)
        is_pad = ops.arange(logits.shape[-1]) == self.pad_token_id
        is_out = is_pad & (x["may_pad"] == 0)[:, :, None]
        is_out = ops.logical_or(is_out, self.banned)
        # In half precision, while there is less to write.
        logits = ops.cast(ops.where(is_out, BANNED, logits), "float32")
        logits = logits - ops.max(logits, axis=-1, keepdims=True)
        shares = drawn = ops.exp(logits)
        if self.way in ("scaled", "nucleus"):
            drawn = ops.exp(logits / x["settings"][:, :1, None])
        if self.way == "nucleus":
            drawn = drawn / ops.sum(drawn, -1, keepdims=True)
            ordered = ops.flip(ops.sort(drawn, -1), -1)
            before = ops.cumsum(ordered, -1) - ordered
            kept = before < x["settings"][:, 1:, None]
            least = ops.min(ops.where(kept, ordered, 2.0), -1, keepdims=True)
            drawn = ops.where(drawn >= least, drawn, 0.0)
        if self.way == "best":
            ids = ops.cast(ops.argmax(logits, axis=-1), "int32")
        else:
            ids = sample_tokens(drawn, x["uniform"])
        chosen = ops.take_along_axis(shares, ids[:, :, None], -1)[:, :, 0]
        outputs = {"ids": ids, "confidence": chosen / ops.sum(shares, -1)}
        if self.discriminator_head is not None:
            if self.generator is not self.backbone:
                states = self.backbone(rows)["sequence_output"]
            outputs["scores"] = self.discriminator_head(states)  # (B, L)
        return outputs


def propose(
    task, x, ids, chosen, uniform=0.0, may_pad=False, temperature=0.0, top_p=1.0
):
    """Proposals, their probabilities and scores of `ids`, arrays `(B, L)`.

    Takes rows, whose ids are replaced, and arrays `(B, L)`: what is masked and
    proposed for, numbers to draw by, and where padding may stand.
    """
    mask = task.preprocessor.tokenizer.mask_token_id
    width = round_length(max(1, int(chosen.sum(1).max())), ids.shape[1])
    places = np.argsort(~chosen, axis=1, kind="stable")[:, :width]
    uniform, may_pad = (
        np.take_along_axis(np.broadcast_to(array, ids.shape), places, 1)
        for array in (uniform, may_pad)
    )
    given = {
        **x,
        "token_ids": np.where(chosen, mask, ids).astype("int32"),
        "mask_positions": places.astype("int32"),
        "uniform": uniform.astype("float32"),
        "may_pad": may_pad.astype("int32"),
        "settings": np.tile(np.float32([temperature, top_p]), (len(ids), 1)),
    }
    way = "nucleus" if top_p < 1 else "scaled" if temperature != 1 else "plain"
    model = task.round_network(way if temperature else "best")
    outputs = model.predict_on_batch(given)
    proposed, confidence = ids.copy(), np.zeros(ids.shape, "float32")
    np.put_along_axis(proposed, places, outputs["ids"], 1)
    np.put_along_axis(confidence, places, outputs["confidence"], 1)
    scores = outputs.get("scores", confidence)
    return np.where(chosen, proposed, ids), confidence, np.float32(scores)


def judge(task: Any, x: Any, ids: Any) -> Any:
    """The scores of `ids` alone."""
    return propose(task, x, ids, np.zeros(ids.shape, "bool"))[2]


def largest(keys: Any, candidates: Any, counts: Any) -> Any:
    """Bools `(B, L)`: of each row those `counts` (B,) of the largest keys."""
    keys = np.where(candidates, keys, -np.inf)
    ranks = np.argsort(np.argsort(-keys, axis=1, kind="stable"), axis=1)
    return candidates & (ranks < np.reshape(counts, (-1, 1)))


def batches(lengths: Any, batch_size: int | None) -> Any:
    """Yields `(places, rows)` of batches of one length, the longest first.

    `rows` repeats some of the places: but on torch, which compiles nothing, all
    batches are of one size.
    """
    lengths, size = [*lengths], inputs.checked_size(batch_size)
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    for _, group in itertools.groupby(order, lengths.__getitem__):
        while places := [*itertools.islice(group, size)]:
            is_fixed = keras.config.backend() != "torch"
            count = min(size, len(lengths)) if is_fixed else len(places)
            yield places, np.resize(places, count)


def write(task, x, num_rounds, guidance, seeds, *settings):
    """Fills ids below 0: a list of `(ids, masked again, filled)`, of rounds.

    By "confidence" and "joined" the surest proposals are kept first, else those
    of drawn places. By "discriminator" and "joined" what stands and is most
    suspected is masked again.
    """
    judges, is_sure = guidance in JUDGED, guidance in ("confidence", "joined")
    first = max(1, int(num_rounds * FIRST_SHARE)) if judges else num_rounds
    generators = [np.random.default_rng(seed) for seed in seeds]
    mask = task.preprocessor.tokenizer.mask_token_id
    blanks = is_open = x["token_ids"] < 0
    may_pad = x["token_ids"] == SOME
    ids = np.where(blanks, mask, x["token_ids"])
    total, steps = blanks.sum(1), []
    for number in range(1, num_rounds + 1):
        draws = [g.random((2, ids.shape[1])) for g in generators]
        order, uniform = np.stack(draws, 1)
        counts = np.ceil(total * min(1.0, number / first))
        counts = np.maximum(0, counts - total + is_open.sum(1))
        chosen = is_open if is_sure else largest(order, is_open, counts)
        given = task, x, ids, chosen, uniform, may_pad, *settings
        new, confidence, scores = propose(*given)
        filled = largest(confidence if is_sure else order, chosen, counts)
        again = np.zeros_like(blanks)
        if judges and number < num_rounds:
            most = np.ceil(AGAIN_SHARE * total * (1 - number / num_rounds))
            suspicion = task.probabilities(scores)
            doubted = blanks & ~is_open & (suspicion > 0.5)
            again = largest(suspicion, doubted, most)
        ids = np.where(filled, new, np.where(again, mask, ids))
        is_open = is_open & ~filled | again
        steps.append((ids, again, filled))
    return steps
