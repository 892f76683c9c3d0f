"""The generator on its own: which tokens fit a blank?"""

import random
import typing
import zlib

import keras
import keras_hub
import numpy as np

from keras_electra.arguments import check_count
from keras_electra.arguments import check_number
from keras_electra.data.batches import round_length
from keras_electra.data.rows import TextPreprocessor
from keras_electra.data.rows import text_rows
from keras_electra.model.embeddings import TokenPredictionHead
from keras_electra.tasks.labels import softmax
from keras_electra.tasks.task import ElectraTask


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraMaskedLMPreprocessor(
    TextPreprocessor, keras_hub.models.MaskedLMPreprocessor
):
    """Masks texts or pairs: `(x, y, sample_weight)`.

    Rows with `mask_positions`, the original ids there, and weights, 0 for an
    unused position; all of shape `(batch, mask_selection_length)`.

    Args:
        tokenizer, sequence_length, truncate, **kwargs: as of the classifier's.
        mask_selection_rate: float. Probability that a token is selected.
        mask_selection_length: int. Most tokens selected in a row, at least 1;
            by default `(mask_selection_rate + 0.005) * sequence_length`.
        mask_token_rate, random_token_rate: float. Shares of the selected that
            become `[MASK]`, or a random token (`pretrain_helpers.py:201`).
    """

    def __init__(
        self,
        tokenizer: keras.Layer,
        sequence_length: int = 512,
        truncate: str = "round_robin",
        mask_selection_rate: float = 0.15,
        mask_selection_length: int | None = None,
        mask_token_rate: float = 0.85,
        random_token_rate: float = 0.0,
        **kwargs: object,
    ) -> None:
        super().__init__(tokenizer, sequence_length, truncate, **kwargs)
        if mask_selection_length is None:
            most = int((mask_selection_rate + 0.005) * sequence_length)
            mask_selection_length = max(1, most)
        check_count("mask_selection_length", mask_selection_length)
        self.keep_arguments(locals())

    def mask(self, x, seed=None, width=None):
        """Masks rows, at `width` positions or as many as are needed.

        Without a `seed` one is drawn from Python's generator.
        """
        ids, most = x["token_ids"], self.mask_selection_length
        tokenizer = self.tokenizer
        seed = random.getrandbits(64) if seed is None else seed
        draws = np.random.default_rng(seed)
        selected, order, fate = draws.random((3, *ids.shape))
        special = np.isin(ids, tokenizer.special_token_ids)
        # Of too many, which ones stay is drawn.
        order[special | (selected >= self.mask_selection_rate)] = 2.0
        chosen = order.argsort(axis=-1).argsort(axis=-1) < most
        chosen &= order < 2.0
        places, used = _places(chosen, width, min(most, ids.shape[-1]))
        y = np.take_along_axis(ids, places, axis=-1) * used
        others = draws.integers(tokenizer.vocabulary_size(), size=ids.shape)
        others[fate < self.mask_token_rate] = tokenizer.mask_token_id
        is_other = fate < self.mask_token_rate + self.random_token_rate
        ids = np.where(chosen & is_other, others, ids).astype("int32")
        x = {**x, "token_ids": ids, "mask_positions": places}
        return x, y.astype("int32"), used.astype("float32")

    def rows(self, x, y=None, sample_weight=None, length=None):
        x = super().rows(x, y, sample_weight, length)
        # A task masks its rows itself, anew whenever they are used.
        return self.mask(x, width=self.mask_selection_length) if length else x


def _places(chosen, width=None, limit=None):
    """Where rows are chosen, `(rows, width)`, and what is no padding of it."""
    counts = chosen.sum(axis=-1)
    width = width or round_length(int(counts.max(initial=1)), limit)
    used = np.arange(width) < counts[:, None]
    places = np.argsort(~chosen, axis=-1, kind="stable")
    places = np.pad(places, ((0, 0), (0, width)))[:, :width] * used
    return places.astype("int32"), used


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraMaskedLM(ElectraTask, keras_hub.models.MaskedLM):
    """Predicts the tokens at masked positions.

    `from_preset` on the folder of an `ElectraPretrainer` opens its generator;
    that of `keras_hub.models.MaskedLM` gives the discriminator a fresh head.
    Takes rows with `mask_positions` `(batch, P)`; gives logits `(batch, P, V)`.

    Args:
        backbone, preprocessor, **kwargs: as of every task.
        head: `TokenPredictionHead` of the same network, or `None` for a fresh
            one: with the `head_activation` (by default the backbone's) and,
            if `tie_embeddings`, the embeddings for its output matrix.

    ```python
    filler = keras_electra.ElectraMaskedLM.from_preset("electra_tiny_en")
    filler.fill_mask("The chef [MASK] the meal.", top_k=2)
    # [[("cooked", 0.41), ("ate", 0.17)]]
    ```
    """

    preprocessor_cls = ElectraMaskedLMPreprocessor
    token_labels = True
    unsaved = ("backbone", "preprocessor", "head")

    def __init__(
        self,
        backbone: keras.Model,
        preprocessor: keras.Layer | None = None,
        head: object = None,
        head_activation: str | None = None,
        tie_embeddings: bool = True,
        **kwargs: object,
    ) -> None:
        head = head or TokenPredictionHead(
            backbone.embeddings,
            head_activation or backbone.activation,
            backbone.initializer_range,
            tie_embeddings,
            dtype=backbone.dtype_policy,
            name="token_prediction_head",
        )
        head_activation, tie_embeddings = head.activation, head.tie_embeddings
        self.keep_arguments(locals())
        positions = keras.Input((None,), dtype="int32", name="mask_positions")
        x = backbone(backbone.input)["sequence_output"]  # (B, L, D)
        super().__init__(
            inputs={**backbone.input, "mask_positions": positions},
            outputs=head(x, positions),  # (B, P, V)
            **kwargs,
        )

    def needs_labels(self, x: object) -> bool:
        return False  # they come from the text

    def finish_batch(self, x, y=None, sample_weight=None, training=False):
        """Masks anew for a training step, and alike in every evaluation."""
        if "mask_positions" in x:
            return x, y, sample_weight
        seed = None if training else zlib.crc32(x["token_ids"].tobytes())
        return self.preprocessor.mask(x, seed)

    def fill_mask(
        self, texts: object, top_k: int = 5, batch_size: int = 32
    ) -> typing.Any:
        """For each `[MASK]` of a text `top_k` pairs `(token, probability)`.

        Best first, filled independently; a list of that for several texts.
        """
        texts, is_one = self.read_inputs(texts, "fill_mask")
        tokenizer, results = self.preprocessor.tokenizer, []
        tokens, mask = tokenizer.get_vocabulary(), tokenizer.mask_token_id
        check_number("top_k", top_k, at_least=1, at_most=len(tokens))
        ids = tokenizer.encode_batch(texts, special_tokens=True)
        length = self.preprocessor.sequence_length
        length = min(length, self.backbone.max_sequence_length)
        for text, row in zip(texts, ids):
            if mask not in row or len(row) > length - 2:
                raise ValueError(
                    f"`fill_mask` takes texts of at most {length - 2} tokens, "
                    f"some of them [MASK]. Received {len(row)} tokens, "
                    f"{row.count(mask)} of them [MASK]: {text[:60]!r}."
                )
        x = text_rows(ids, None, tokenizer, length)
        x["mask_positions"], used = _places(x["token_ids"] == mask)
        for logits, row in zip(self.predict_rows(x, batch_size), used):
            results.append([])
            # A table may be padded beyond the vocabulary.
            for shares in softmax(logits[row, : len(tokens)]):
                best = np.argsort(-shares, kind="stable")[:top_k]
                pairs = [(tokens[i], float(shares[i])) for i in best]
                results[-1].append(pairs)
        return results[0] if is_one else results
