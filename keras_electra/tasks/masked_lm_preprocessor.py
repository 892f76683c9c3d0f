"""Texts to masked inputs for training the generator on its own."""

import keras
import keras_hub

from keras_electra.model.backbone import ElectraBackbone
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
