"""Two networks from anywhere become one pre-trainer.

They may come from two checkpoints of two forms and sizes. Their embeddings
are tied again, as in pre-training: the generator takes the discriminator's,
and by how much its own differed is said. A generator that is missing is made.
"""

import keras
import numpy as np
from keras import ops

from keras_electra.conversion import places
from keras_electra.conversion.assign import Summary
from keras_electra.conversion.assign import fill
from keras_electra.conversion.loading import attach
from keras_electra.conversion.loading import build_preprocessor
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.model.sizes import SIZES
from keras_electra.model.sizes import closest_size

SHARED_SIZES = (
    "vocabulary_size",
    "embedding_dim",
    "max_sequence_length",
    "num_segments",
)


def build_pretrainer(cls, detector, filler, tied=False, of_text=None, **kwargs):
    """A pre-trainer of two networks that are loaded.

    Args:
        cls: `ElectraPretrainer`.
        detector: `ElectraReplacedTokenDetector`, the discriminator.
        filler: `ElectraMaskedLM`, the generator, or `None` to make one.
        tied: bool. Whether the generator's encoder is the discriminator's,
            too. Defaults to `False`.
        of_text: dict or `None`. Arguments of the preprocessor.
        **kwargs: arguments of `ElectraPretrainer`.

    Returns:
        An object of `cls`, with the `conversion_summary` of both.

    Raises:
        ValueError: when the two have different vocabularies.
    """
    backbone, notes = detector.backbone, []
    if filler is None:
        generator = fresh_generator(backbone)
        head = None
        notes.append(
            "there is no generator: a fresh one was made, "
            f"{generator.num_layers} layers of width {generator.hidden_dim}, "
            "with the discriminator's embeddings. It must learn before its "
            "replacements are worth detecting"
        )
    else:
        generator, head = filler.backbone, filler.head
        _check_vocabularies(detector, filler)
        if not head.tie_embeddings:
            notes.append(_note_on_output(filler))
        if tied:
            generator = backbone
        elif "share_embeddings" not in kwargs:
            kwargs["share_embeddings"], note = _can_share(backbone, generator)
            notes.append(note)
    if "preprocessor" not in kwargs:
        kwargs["preprocessor"] = _preprocessor(
            cls, detector, filler, of_text or {}
        )
    # A fresh head is one that every form can hold.
    activation = "gelu" if head is None else head.activation
    kwargs.setdefault("generator_head_activation", activation)
    pretrainer = cls(backbone, generator, **kwargs)
    if pretrainer.discriminator_head is not None:
        _copy(
            places.replaced_token_head(detector.head),
            places.replaced_token_head(pretrainer.discriminator_head),
        )
    if head is not None:
        _copy(
            places.token_prediction_head(head),
            places.token_prediction_head(pretrainer.generator_head),
        )
    attach(pretrainer, _joined(detector, filler, notes))
    return pretrainer


def fresh_generator(backbone):
    """A generator with random weights and the embeddings of a discriminator.

    Its width is the share of the discriminator's that the nearest size of
    the paper has.

    Args:
        backbone: `ElectraBackbone` of the discriminator.

    Returns:
        An `ElectraBackbone`.
    """
    size = SIZES[closest_size(backbone.hidden_dim)]
    width = backbone.hidden_dim * size.generator_hidden_dim // size.hidden_dim
    heads = max(1, width // 64)
    width = max(1, width // heads) * heads
    with keras.name_scope("generator"):
        return ElectraBackbone(
            **{
                **backbone.get_config(),
                "hidden_dim": width,
                "num_heads": heads,
                "intermediate_dim": 4 * width,
                "name": "generator",
                "embeddings": backbone.embeddings,
                "dtype": backbone.dtype_policy,
            }
        )


def _can_share(backbone, generator):
    """Whether embeddings are to be shared, and what to say about it."""
    for name in SHARED_SIZES:
        ours, theirs = getattr(backbone, name), getattr(generator, name)
        if ours != theirs:
            return False, (
                f"the embeddings are not shared: {name} is {ours} in the "
                f"discriminator and {theirs} in the generator"
            )
    if backbone.embeddings is generator.embeddings:
        return True, "the embeddings are shared"
    largest = max(
        float(np.max(np.abs(_array(a) - _array(b))))
        for a, b in zip(
            backbone.embeddings.weights, generator.embeddings.weights
        )
    )
    return True, (
        "the generator takes the discriminator's embeddings; its own differed "
        f"by up to {largest:.3g}"
        + ("" if largest else ", so that nothing was lost")
    )


def _note_on_output(filler):
    table = _array(filler.head.output_embeddings)
    words = _array(filler.backbone.token_embedding.embeddings)
    return (
        "the generator's output matrix is its embeddings here; its own "
        f"differed from them by up to {np.max(np.abs(table - words)):.3g}"
    )


def _check_vocabularies(detector, filler):
    ours, theirs = _tokenizer(detector), _tokenizer(filler)
    if ours is None or theirs is None:
        return
    if ours.get_vocabulary() != theirs.get_vocabulary():
        raise ValueError(
            "Discriminator and generator must have one vocabulary. Received "
            f"two that differ, of {ours.vocabulary_size()} and "
            f"{theirs.vocabulary_size()} entries. Give a pair that was "
            "trained together, or leave the generator away: a fresh one is "
            "made then."
        )


def _tokenizer(task):
    return task and getattr(task.preprocessor, "tokenizer", None)


def _preprocessor(cls, detector, filler, of_text):
    tokenizer = _tokenizer(detector) or _tokenizer(filler)
    if tokenizer is None and of_text:
        raise ValueError(
            "There is no vocabulary beside the networks, so that there is no "
            f"preprocessor for {sorted(of_text)}."
        )
    positions = detector.backbone.max_sequence_length
    if filler is not None:
        positions = min(positions, filler.backbone.max_sequence_length)
    return build_preprocessor(
        cls.preprocessor_cls, tokenizer, positions, **of_text
    )


def _array(variable):
    return np.asarray(ops.convert_to_numpy(variable), "float32")


def _copy(source, target):
    fill(target, lambda name: _array(source[name].variable))


def _joined(detector, filler, notes):
    """One summary of all that was read."""
    parts = [
        getattr(task, "conversion_summary", None) for task in (detector, filler)
    ]
    parts = [part for part in parts if part is not None]
    if not parts:
        return Summary("preset", "this package", 0, notes=tuple(notes))
    sources = list(dict.fromkeys(part.source for part in parts))
    dropped = [dict(part.dropped) for part in parts]
    if len(parts) > len(sources):  # what one network leaves the other takes
        dropped = [
            {n: reason for n, reason in dropped[0].items() if n in dropped[1]}
        ]
    return Summary(
        source=" and ".join(sources),
        form=" and ".join(dict.fromkeys(part.form for part in parts)),
        used=sum(part.used for part in parts),
        dropped=tuple(pair for names in dropped for pair in names.items()),
        new=sum((part.new for part in parts), ()),
        notes=tuple(
            dict.fromkeys(
                [*(note for part in parts for note in part.notes), *notes]
            )
        ),
    )
