"""The generator on its own: which tokens fit a blank?"""

import keras
import keras_hub
import numpy as np

from keras_electra.model.backbone import ElectraBackbone
from keras_electra.model.heads import TokenPredictionHead
from keras_electra.presets_saving import SavesPresets
from keras_electra.tasks import inference
from keras_electra.tasks.finetuning import restore_compilation
from keras_electra.tasks.probabilities import softmax
from keras_electra.tasks.shuffling import shuffled_fit
from keras_electra.text.preprocessor import BuildsOnce
from keras_electra.text.preprocessor import add_sequence_length
from keras_electra.text.tokenizer import ElectraTokenizer


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraMaskedLMPreprocessor(
    BuildsOnce, keras_hub.models.MaskedLMPreprocessor
):
    """Turns texts, or pairs of texts, into masked token ids and labels.

    The masking is KerasHub's with ELECTRA's rates: of the selected tokens 85 %
    become `[MASK]`, the others stay, none is replaced by a random one
    (original `pretrain/pretrain_helpers.py:201`).

    Args:
        tokenizer: `ElectraTokenizer`.
        sequence_length: int. Length of the rows, in tokens. Defaults to
            `512`; loaded from a preset, to at most its network's positions.
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
        **kwargs: `name` and the like of `keras.layers.Layer`.

    Call arguments:
        x: a string, a list of strings, or a tuple of two of either (pairs).
            A tuple alone KerasHub takes for `(x, y)`: call it with `y=None`.

    Returns:
        `(x, y, sample_weight)`: a dict of `token_ids`, `segment_ids` and
        `padding_mask` of shape `(batch, sequence_length)` and
        `mask_positions` of shape `(batch, mask_selection_length)`; the
        original ids and their weights (0 for an unused position), of the
        shape of `mask_positions`.
    """

    built_last = "masker"
    backbone_cls = ElectraBackbone
    tokenizer_cls = ElectraTokenizer

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
            sequence_length=sequence_length,
            truncate=truncate,
            mask_selection_rate=mask_selection_rate,
            mask_selection_length=mask_selection_length,
            mask_token_rate=mask_token_rate,
            random_token_rate=random_token_rate,
            **kwargs,
        )

    @classmethod
    def _add_missing_kwargs(cls, loader, kwargs):
        return super()._add_missing_kwargs(
            loader, add_sequence_length(loader, kwargs)
        )


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraMaskedLM(SavesPresets, keras_hub.models.MaskedLM):
    """Predicts the tokens at masked positions.

    `from_preset` on the folder of an `ElectraPretrainer` opens its generator.
    (`keras_hub.models.MaskedLM.from_preset` does not know of that: on such a
    folder it gives the discriminator a fresh head, for training. Call it on
    this class.)

    Args:
        backbone: `ElectraBackbone`. The generator's.
        preprocessor: `ElectraMaskedLMPreprocessor`, or `None`, the default,
            to pass arrays instead of texts.
        head: `TokenPredictionHead` or `None`. A trained head of the same
            network. Not part of the configuration, its weights are saved.
            Defaults to `None`: a fresh one.
        head_activation: string or `None`. Activation of a fresh head.
            Defaults to the backbone's.
        tie_embeddings: bool. Whether a fresh head has the embeddings for its
            output matrix. Defaults to `True`.
        **kwargs: `name` and `compile` of `keras_hub.models.Task`.

    Call arguments:
        A dict of int arrays: `token_ids`, `segment_ids`, `padding_mask` of
        shape `(batch, length)`, `mask_positions` of shape
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

    def get_config(self):
        config = super().get_config()
        config["head_activation"] = self.head.activation
        config["tie_embeddings"] = self.head.tie_embeddings
        return config

    def compile_from_config(self, config):
        restore_compilation(self, config)

    def fit(self, x=None, y=None, **kwargs):
        """Trains on texts, shuffled and masked anew in every epoch.

        Args:
            x: list of strings, tuple of two such lists (pairs), or a data set.
            y: `None`: the labels come from the text.
            **kwargs: `batch_size`, `epochs`, `validation_data`, `shuffle`
                and the like of `keras.Model.fit`. A data set is taken in its
                own order.

        Returns:
            A `keras.callbacks.History`.
        """
        return shuffled_fit(super().fit, x, y, **kwargs)

    def fill_mask(self, texts, top_k=5, batch_size=32):
        """Fills every `[MASK]` of texts.

        Args:
            texts: string or list of strings, each with at least one
                `[MASK]`. Several in one text are filled independently.
            top_k: int. How many tokens to give for each. Defaults to `5`.
            batch_size: int. Texts computed together. Defaults to `32`.

        Returns:
            For a string a list with one entry a `[MASK]`, in the order of
            the text: a list of `top_k` pairs `(token, probability)`, most
            probable first. For a list of strings a list of these.

        Raises:
            TypeError: when `texts` is neither a string nor a list of them.
            ValueError: when a text has no `[MASK]` or is too long, when
                `top_k` is out of range, or there is no preprocessor.
        """
        texts, is_one = inference.check_texts(texts, "fill_mask")
        tokenizer = inference.require_tokenizer(self, "fill_mask")
        num_tokens = tokenizer.vocabulary_size()
        if not 1 <= top_k <= num_tokens:
            raise ValueError(
                "`top_k` must be at least 1 and at most the size of the "
                f"vocabulary, {num_tokens}. Received: top_k={top_k}."
            )
        rows = tokenizer.encode_batch(texts, special_tokens=True)
        masks = [
            [
                i
                for i, token in enumerate(ids)
                if token == tokenizer.mask_token_id
            ]
            for ids in rows
        ]
        self._check_masks(texts, rows, masks)
        results = []
        for logits, places in zip(
            inference.predict_rows(self, rows, batch_size, masks), masks
        ):
            # A table may be padded beyond the vocabulary.
            probabilities = softmax(logits[: len(places), :num_tokens])
            results.append(
                [_best(row, top_k, tokenizer) for row in probabilities]
            )
        return results[0] if is_one else results

    def _check_masks(self, texts, rows, masks):
        limit = inference.text_length(self)
        for text, ids, places in zip(texts, rows, masks):
            if not places:
                raise ValueError(
                    "`fill_mask` fills the [MASK] tokens of a text, but this "
                    f"one has none. Received: {text!r}."
                )
            if len(ids) > limit:
                raise ValueError(
                    f"`fill_mask` takes texts of at most {limit} tokens (the "
                    "preprocessor's `sequence_length` and the network's "
                    "`max_sequence_length`, less [CLS] and [SEP]). Received "
                    f"one of {len(ids)} tokens: {text[:60]!r}... Pass the "
                    "part around the [MASK]."
                )


def _best(probabilities, top_k, tokenizer):
    best = np.argsort(-probabilities, kind="stable")[:top_k]
    return [
        (tokenizer.id_to_token(int(i)), float(probabilities[i])) for i in best
    ]
