"""The generator on its own: which tokens fit a blank?"""

import random
import zlib

import keras
import keras_hub
import numpy as np

from keras_electra.arguments import known_keywords
from keras_electra.data.batches import round_length
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.model.heads import TokenPredictionHead
from keras_electra.presets_saving import SavesPresets
from keras_electra.tasks.labels import softmax
from keras_electra.tasks.rows import RowPreprocessor
from keras_electra.tasks.rows import text_rows
from keras_electra.tasks.task import ElectraTask


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraMaskedLMPreprocessor(
    RowPreprocessor, keras_hub.models.MaskedLMPreprocessor
):
    """Turns texts, or pairs of texts, into masked token ids and labels.

    The masking has ELECTRA's rates: of the selected tokens 85 %
    become `[MASK]`, the others stay, none is replaced by a random one
    (original `pretrain/pretrain_helpers.py:201`).

    Args:
        tokenizer, sequence_length, **kwargs: as of every preprocessor.
        truncate: string. How a pair that is too long is shortened, as in
            `keras_hub.layers.MultiSegmentPacker`. Defaults to
            `"round_robin"`.
        mask_selection_rate: float. Probability that a token is selected.
            Defaults to `0.15`.
        mask_selection_length: int or `None`. Most tokens selected in a row.
            `None`, the default, is the original's `(mask_selection_rate +
            0.005) * sequence_length` (`configure_pretraining.py:106-107`).
        mask_token_rate: float. Share of the selected tokens that become
            `[MASK]`. Defaults to `0.85`.
        random_token_rate: float. Share of the selected tokens that become a
            random token. Defaults to `0.0`.

    Returns:
        `(x, y, sample_weight)`: the rows, with `mask_positions` of shape
        `(batch, mask_selection_length)`; the original ids and their weights
        (0 for an unused position), of the shape of `mask_positions`.
    """

    def __init__(
        self,
        tokenizer,
        sequence_length=512,
        truncate="round_robin",
        mask_selection_rate=0.15,
        mask_selection_length=None,
        mask_token_rate=0.85,
        random_token_rate=0.0,
        **kwargs,
    ):
        if mask_selection_length is None:
            share = mask_selection_rate + 0.005
            mask_selection_length = max(1, int(share * sequence_length))
        super().__init__(
            tokenizer,
            sequence_length,
            truncate=truncate,
            mask_selection_rate=mask_selection_rate,
            mask_selection_length=mask_selection_length,
            mask_token_rate=mask_token_rate,
            random_token_rate=random_token_rate,
            **kwargs,
        )

    def mask(self, x, seed=None, width=None):
        """Masks what `rows` returns; gives `(x, y, sample_weight)`.

        `width` is the number of positions, by default as many as the row with
        most has. Without a `seed` draws come from Python's generator, which
        `keras.utils.set_random_seed` sets.
        """
        ids, most = x["token_ids"], self.mask_selection_length
        draws = np.random.default_rng(
            random.getrandbits(64) if seed is None else seed
        )
        selected, order, fate = draws.random((3, *ids.shape))
        special = np.isin(ids, self.tokenizer.special_token_ids)
        # Of too many, which ones stay is drawn.
        order[special | (selected >= self.mask_selection_rate)] = 2.0
        rank = order.argsort(axis=-1).argsort(axis=-1)
        chosen = (order < 2.0) & (rank < most)  # (B, L)
        counts = chosen.sum(axis=-1)
        if width is None:
            limit = min(most, ids.shape[-1])
            width = round_length(int(counts.max(initial=1)), limit)
        used = np.arange(width) < counts[:, None]  # (B, P)
        places = np.argsort(~chosen, axis=-1, kind="stable")
        places = np.pad(places, ((0, 0), (0, width)))[:, :width] * used
        masked, threshold = ids.copy(), self.mask_token_rate
        masked[chosen & (fate < threshold)] = self.tokenizer.mask_token_id
        others = chosen & (fate >= threshold)
        others &= fate < threshold + self.random_token_rate
        masked[others] = draws.integers(
            self.tokenizer.vocabulary_size(), size=others.sum()
        )
        y = np.take_along_axis(ids, places, axis=-1) * used
        x = {**x, "token_ids": masked, "mask_positions": places.astype("int32")}
        return x, y.astype("int32"), used.astype("float32")

    def _whole_rows(self, x, y=None, sample_weight=None):
        x = super()._whole_rows(x)
        return self.mask(x, width=self.mask_selection_length)

    def output_spec(self, x=None, y=None, sample_weight=None):
        spec = keras.KerasTensor((None, self.mask_selection_length), "int32")
        x = {**super().output_spec(), "mask_positions": spec}
        return x, spec, keras.KerasTensor(spec.shape, "float32")


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraMaskedLM(ElectraTask, SavesPresets, keras_hub.models.MaskedLM):
    """Predicts the tokens at masked positions.

    `from_preset` on the folder of an `ElectraPretrainer` opens its generator;
    that of `keras_hub.models.MaskedLM` gives the discriminator a fresh head.

    Args:
        backbone, preprocessor, **kwargs: as of every task; the backbone is
            the generator's.
        head: `TokenPredictionHead` of the same network; not part of the
            configuration. Defaults to `None`: a fresh one.
        head_activation: string or `None`. Of a fresh head. Defaults to the
            backbone's.
        tie_embeddings: bool. Whether a fresh head has the embeddings for its
            output matrix. Defaults to `True`.

    Call arguments:
        A dict of rows, with `mask_positions` of shape
        `(batch, num_positions)`.

    Returns:
        Logits of shape `(batch, num_positions, vocabulary_size)`.

    Example:
    ```python
    filler = keras_electra.ElectraMaskedLM.from_preset("electra_tiny_en")
    filler.fill_mask("The chef [MASK] the meal.", top_k=2)
    # [[("cooked", 0.41), ("ate", 0.17)]]
    ```
    """

    backbone_cls = ElectraBackbone
    preprocessor_cls = ElectraMaskedLMPreprocessor
    token_labels = True
    unsaved = ("backbone", "preprocessor", "head")

    @known_keywords("name", "compile", "dtype", "trainable")
    def __init__(
        self,
        backbone,
        preprocessor=None,
        head=None,
        head_activation=None,
        tie_embeddings=True,
        **kwargs,
    ):
        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.head = head or TokenPredictionHead(
            backbone.embeddings,
            activation=head_activation or backbone.activation,
            tie_embeddings=tie_embeddings,
            initializer_range=backbone.initializer_range,
            dtype=backbone.dtype_policy,
            name="token_prediction_head",
        )

        # === Functional Model ===
        inputs = {
            **backbone.input,
            "mask_positions": keras.Input(
                shape=(None,), dtype="int32", name="mask_positions"
            ),
        }
        x = backbone(backbone.input)["sequence_output"]  # (B, L, D)
        outputs = self.head(x, inputs["mask_positions"])  # (B, P, V)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.head_activation = self.head.activation
        self.tie_embeddings = self.head.tie_embeddings

    def default_loss(self):
        # A mean over the masked tokens, not over unused positions too.
        return keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        )

    def default_metrics(self, loss):
        return [keras.metrics.SparseCategoricalAccuracy("accuracy")]

    def needs_labels(self, x):
        return False  # they come from the text

    def finish_batch(self, x, y=None, sample_weight=None, training=False):
        """Masks anew for a training step, and alike in every evaluation."""
        if "mask_positions" in x:
            return x, y, sample_weight
        seed = None if training else zlib.crc32(x["token_ids"].tobytes())
        return self.preprocessor.mask(x, seed)

    def fill_mask(self, texts, top_k=5, batch_size=32):
        """Fills every `[MASK]` of texts.

        Args:
            texts: string, or a column of strings, each with at least one
                `[MASK]`. Several in one text are filled independently.
            top_k: int. How many tokens to give for each. Defaults to `5`.
            batch_size: int. Texts computed together. Defaults to `32`.

        Returns:
            For a string a list with one entry a `[MASK]`, in the order of
            the text: a list of `top_k` pairs `(token, probability)`, most
            probable first. For several texts a list of these.
        """
        texts, is_one = self.read_inputs(texts, "fill_mask")
        tokenizer = self.preprocessor.tokenizer
        num_tokens = tokenizer.vocabulary_size()
        if not 1 <= top_k <= num_tokens:
            raise ValueError(
                "`top_k` must be at least 1 and at most the size of the "
                f"vocabulary, {num_tokens}. Received: top_k={top_k}."
            )
        ids = tokenizer.encode_batch(texts, special_tokens=True)
        self._check_masks(texts, ids)
        x = text_rows(ids, None, tokenizer, max(map(len, ids), default=0) + 2)
        places = [
            np.flatnonzero(row == tokenizer.mask_token_id)
            for row in x["token_ids"]
        ]
        most = round_length(max(map(len, places), default=1))
        x["mask_positions"] = np.zeros((len(places), most), "int32")
        for row, some in zip(x["mask_positions"], places):
            row[: len(some)] = some
        results = []
        for logits, some in zip(self.predict_rows(x, batch_size), places):
            # A table may be padded beyond the vocabulary.
            logits = np.asarray(logits, "float32")[: len(some), :num_tokens]
            results.append(
                [_best(row, top_k, tokenizer) for row in softmax(logits)]
            )
        return results[0] if is_one else results

    def _check_masks(self, texts, ids):
        limit = self.preprocessor.sequence_length
        limit = min(limit, self.backbone.max_sequence_length) - 2
        for text, row in zip(texts, ids):
            if self.preprocessor.tokenizer.mask_token_id not in row:
                raise ValueError(
                    "`fill_mask` fills the [MASK] tokens of a text, but this "
                    f"one has none. Received: {text!r}."
                )
            if len(row) > limit:
                raise ValueError(
                    f"`fill_mask` takes texts of at most {limit} tokens. "
                    f"Received one of {len(row)} tokens: {text[:60]!r}... "
                    "Pass the part around the [MASK]."
                )


def _best(probabilities, top_k, tokenizer):
    best = np.argsort(-probabilities, kind="stable")[:top_k]
    return [
        (tokenizer.id_to_token(int(i)), float(probabilities[i])) for i in best
    ]
