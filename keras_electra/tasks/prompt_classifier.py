"""Labels without a new head: which word in a prompt looks least replaced?

Prompting with the discriminator (Xia et al., EMNLP 2022; Li et al., COLING
2022). A pass of the network for every word of a label and every template.
"""

import re
from typing import Any

import keras
import keras_hub
import numpy as np
from keras import ops

from keras_electra.arguments import check_number
from keras_electra.data import inputs
from keras_electra.data.rows import RowPreprocessor
from keras_electra.data.rows import is_rows
from keras_electra.data.rows import make_rows
from keras_electra.data.rows import trim_pair
from keras_electra.model.layers import ConfiguredLayer
from keras_electra.tasks.labels import LabelEncoder
from keras_electra.tasks.multiple_choice import choice_inputs
from keras_electra.tasks.replaced_token_detector import (
    ElectraReplacedTokenDetector,
)
from keras_electra.tasks.text_classifier import ClassifiesTexts
from keras_electra.training.fit import TEXT_COLUMNS

MASK = "verbalizer_mask"  # in rows, 1 for the pieces of the verbalizer
FIELD = re.compile(r"\{(label|text[12]?)\}")
FIELDS = ["label", "text"], ["label", "text1", "text2"]  # of templates


def _parse(template):
    """Literals of a template, and the fields between them."""
    parts = FIELD.split(template) if isinstance(template, str) else []
    braces = {*"{}"} & {*"".join(parts[::2])}
    if sorted(parts[1::2]) not in FIELDS or braces:
        raise ValueError(
            "`templates` must hold strings with `{label}` and `{text}`, for "
            "pairs `{text1}` and `{text2}`, each once, such as '{text} It was "
            f"{{label}}.'. Received: {template!r}."
        )
    return parts[::2], parts[1::2]


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraPromptClassifierPreprocessor(RowPreprocessor):
    """Rows `(batch, prompts, length)`: a text in all templates, with all words.

    They have `verbalizer_mask`, too, 1 for the pieces of the word. What is too
    long is cut off the text, so that the prompt stays whole.

    Args:
        tokenizer, sequence_length, **kwargs: as of every preprocessor.
        templates: string or list of strings, such as `"{text} It was {label}."`
            or, for pairs, `"{text1} {label}, {text2}"`; their scores count
            alike.
        verbalizers: dict. From each label to a word or a list of words, of any
            number of word pieces.
    """

    def __init__(
        self,
        tokenizer: Any,
        sequence_length: int | None = 512,
        templates: Any = "{text} It was {label}.",
        verbalizers: Any = None,
        **kwargs: Any,
    ):
        super().__init__(tokenizer, sequence_length, **kwargs)
        templates = [templates] if inputs.is_text(templates) else templates
        kinds = {"{text2}" in t for t in templates if _parse(t)}
        verbalizers = {
            str(label): list(words) if isinstance(words, list) else [words]
            for label, words in (verbalizers or {}).items()
        }
        groups = [i for i, w in enumerate(verbalizers.values()) for _ in w]
        words = [word for given in verbalizers.values() for word in given]
        are_texts = all(inputs.is_text(w) and w.strip() for w in words)
        is_whole = len({*groups}) >= max(2, len(verbalizers))
        if len(kinds) != 1 or not are_texts or not is_whole:
            raise ValueError(
                "`verbalizers` must be a dict from at least two labels to a "
                "word or a list of words, and `templates` be all for texts or "
                f"all for pairs. Received: {verbalizers}, {templates}."
            )
        self.keep_arguments(locals())
        self.words, self.groups = words, groups * len(templates)

    @property
    def text_pairs(self) -> bool:
        """Whether inputs are pairs."""
        return "{text2}" in self.templates[0]

    def rows(self, x, y=None, sample_weight=None, length=None):
        encode, names = self.tokenizer.encode_batch, FIELDS[self.text_pairs]
        columns = map(encode, x if isinstance(x, tuple) else (x,))
        words, sequences, spans = encode(self.words), [], []
        prompts = [
            (encode(literals), fields, word)
            for literals, fields in map(_parse, self.templates)
            for word in words
        ]
        for texts in zip(*columns, strict=True):
            for literals, fields, word in prompts:
                fixed = 2 + len(word) + sum(map(len, literals))
                room = self.sequence_length - fixed
                check_number(
                    f"sequence_length, after the {fixed} tokens of a prompt,",
                    room,
                    above=0,
                )
                cut = trim_pair(*texts, *[[]] * (2 - len(texts)), room)
                values = {"label": word, **dict(zip(names[1:], cut))}
                row = [self.tokenizer.cls_token_id, *literals[0]]
                for field, literal in zip(fields, literals[1:]):
                    if field == "label":
                        spans.append(slice(len(row), len(row) + len(word)))
                    row += [*values[field], *literal]
                sequences.append([*row, self.tokenizer.sep_token_id])
        pad, firsts = self.tokenizer.pad_token_id, map(len, sequences)
        x = make_rows(sequences, firsts, pad, length)
        x[MASK] = np.zeros_like(x["token_ids"])
        for row, span in zip(x[MASK], spans):
            row[span] = 1
        shape = (-1, len(prompts), x[MASK].shape[-1])
        x = {name: rows.reshape(shape) for name, rows in x.items()}
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)


@keras.saving.register_keras_serializable(package="keras_electra")
class VerbalizerScores(ConfiguredLayer):
    """How original words look: means over pieces, then over prompts of a label.

    Called with logits of replacement `(batch * prompts, length)` and a mask
    `(batch, prompts, length)`; gives `(batch, labels)`, float32.
    """

    def __init__(self, groups: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.keep_arguments(locals())

    def call(self, logits: Any, mask: Any) -> Any:
        mask = ops.cast(mask, "float32")  # (B, C, L)
        logits = ops.reshape(logits, ops.shape(mask))
        count = ops.maximum(ops.sum(mask, axis=-1), 1.0)
        scores = -ops.sum(logits * mask, axis=-1) / count  # (B, C)
        share = np.eye(max(self.groups) + 1, dtype="float32")[self.groups]
        return ops.matmul(scores, share / share.sum(axis=0))  # (B, K)

    def compute_output_spec(self, logits: Any, mask: Any) -> Any:
        shape = (mask.shape[0], max(self.groups) + 1)
        return keras.KerasTensor(shape, "float32")


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraPromptClassifier(ClassifiesTexts, keras_hub.models.Task):
    """Classifies texts by words: the label whose words look least replaced.

    From a pre-trainer's or detector's preset, without training or by `fit` on
    a few examples of each label. Inputs and labels are the text classifier's;
    gives logits `(batch, labels)`.

    Args:
        backbone, **kwargs: as of every task.
        preprocessor: has `templates` and `verbalizers`, which `from_preset`
            takes as well; see `ElectraPromptClassifierPreprocessor`.
        head: as of `ElectraReplacedTokenDetector`.

    ```python
    classifier = keras_electra.ElectraPromptClassifier.from_preset(
        "electra_tiny_en",
        templates="{text} It was {label}.",
        verbalizers={"bad": ["terrible", "dull"], "good": "great"},
    )
    classifier.classify("A fine day")  # [("good", 0.6), ("bad", 0.4)]
    ```
    """

    preprocessor_cls = ElectraPromptClassifierPreprocessor
    names = inputs.Names(
        TEXT_COLUMNS,
        # Rows of one example are `(prompts, length)`.
        example=lambda x, y: is_rows(x) and np.ndim(x["token_ids"]) == 2,
    )
    problem_type = "single_label"
    unsaved = ("backbone", "preprocessor", "head")

    def __init__(
        self, backbone, preprocessor=None, head=None, calibration=None, **kwargs
    ):
        if preprocessor is None:
            raise ValueError(
                "`preprocessor` must be one with `templates` and "
                "`verbalizers`. Received: preprocessor=None."
            )
        head = ElectraReplacedTokenDetector(backbone, head=head).head
        self.keep_arguments(locals())
        fields, flat = choice_inputs(MASK)
        x = head(backbone(flat)["sequence_output"])  # (B * C, L)
        scores = VerbalizerScores(preprocessor.groups, dtype="float32")
        outputs = scores(x, fields[MASK])  # (B, K)
        super().__init__(inputs=fields, outputs=outputs, **kwargs)
        labels = list(preprocessor.verbalizers)
        self.label_encoder = LabelEncoder(None, labels)
        self.labels, self.num_classes = labels, len(labels)
        self.text_pairs = preprocessor.text_pairs
