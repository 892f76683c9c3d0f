"""Two networks become a pre-trainer, and a pre-trainer's becomes a task.

The two may come from two checkpoints of two forms and sizes. Their embeddings
are tied again, as in pre-training: the generator takes the discriminator's,
and by how much its own differed is said. A generator that is missing is made.
"""

import keras
import numpy as np

from keras_electra.conversion import google
from keras_electra.conversion import hugging_face
from keras_electra.conversion import keras_hub
from keras_electra.conversion import load
from keras_electra.conversion import weights
from keras_electra.conversion.checkpoint import DISCRIMINATOR
from keras_electra.conversion.checkpoint import GENERATOR
from keras_electra.conversion.checkpoint import Summary
from keras_electra.conversion.heads import head_of
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.model.sizes import SIZES
from keras_electra.model.sizes import closest_size
from keras_electra.presets import EXPORTERS
from keras_electra.presets import OPENERS
from keras_electra.presets import split_arguments
from keras_electra.pretraining.pretrainer import ElectraPretrainer
from keras_electra.tasks.masked_lm import ElectraMaskedLM
from keras_electra.tasks.replaced_token_detector import (
    ElectraReplacedTokenDetector,
)

SHARED_SIZES = (
    "vocabulary_size",
    "embedding_dim",
    "max_sequence_length",
    "num_segments",
)
# Attributes of a pre-trainer with each network and its head.
PARTS = {
    DISCRIMINATOR: ("backbone", "discriminator_head"),
    GENERATOR: ("generator", "generator_head"),
}


def register():
    """Makes `from_preset` and `export_to_...` know all forms."""
    OPENERS.extend([open_pretrainer, open_part, load.open_preset])
    EXPORTERS["transformers"] = _exporter(hugging_face)
    EXPORTERS["tf1"] = _exporter(google)
    EXPORTERS["keras_hub"] = _exporter(keras_hub)


def _exporter(form):
    def write(task, folder):
        is_pretrainer = isinstance(task, ElectraPretrainer)
        write = form.write_pretrainer if is_pretrainer else form.write_task
        write(task, folder)

    return write


def is_pretrainer(preset):
    """Whether a preset was saved from an `ElectraPretrainer`."""
    name = load.Files(preset).read_json("task.json").get("registered_name")
    return name == "keras_electra>ElectraPretrainer"


def open_part(cls, preset, load_weights, arguments):
    """One of `OPENERS`: a network of a pre-trainer's preset and its head.

    KerasHub reads a head's weights only for the task class that wrote them,
    and always takes the discriminator for the backbone.
    """
    head = head_of(cls)
    if head is None or head.network is None or "backbone" in arguments:
        return None
    if not is_pretrainer(preset):
        return None
    own, passed_on = split_arguments(cls, arguments)
    pretrainer = ElectraPretrainer.from_preset(
        preset, load_weights, dtype=own.pop("dtype", None)
    )
    names = PARTS[head.network]
    backbone, head = (getattr(pretrainer, name) for name in names)
    if backbone is None or head is None:
        raise ValueError(
            f"Preset {preset!r} was pre-trained without a `{names[0]}` or "
            f"`{names[1]}`, so there is none to open. Open it as another task."
        )
    if "preprocessor" not in own and pretrainer.preprocessor is not None:
        preprocessor = cls.preprocessor_cls.from_preset(preset, **passed_on)
        own["preprocessor"] = preprocessor
    return cls(**{"backbone": backbone, "head": head, **own})


def open_pretrainer(cls, preset, load_weights, arguments):
    """One of `OPENERS`: two networks from one or two presets of any form.

    Without `generator` it is the one beside the discriminator, or else a
    fresh one.
    """
    if not issubclass(cls, ElectraPretrainer):
        return None
    generator = arguments.pop("generator", None)
    discriminator = arguments.pop("discriminator", preset)
    if generator is None and preset is not None and is_pretrainer(preset):
        return None
    own, of_text = split_arguments(cls, arguments)
    of_text, of_tokens = split_arguments(cls.preprocessor_cls, of_text)
    common = {"dtype": own.pop("dtype", None), "compile": False, **of_tokens}
    tied, filler = False, None
    with load.silence():  # one summary of both is shown in the end
        detector = ElectraReplacedTokenDetector.from_preset(
            discriminator, load_weights, **common
        )
        if generator is None:
            generator, tied = _generator_beside(discriminator)
        if generator is not None:
            filler = ElectraMaskedLM.from_preset(
                generator, load_weights, **common
            )
    preprocessor = _preprocessor(cls, detector, filler, of_text)
    own.setdefault("preprocessor", preprocessor)
    return _join(cls, detector, filler, tied, own)


def _generator_beside(preset):
    """The preset of a discriminator's generator or `None`; if both are one."""
    files = load.Files(preset, GENERATOR)
    if files.is_pair:
        return files.path, False
    if is_pretrainer(preset):
        return preset, False
    # Of all other forms only the original's holds both.
    if files.has_index():
        checkpoint = load.open_checkpoint(files)
        if checkpoint is not None and checkpoint.is_pair:
            return preset, checkpoint.is_tied
    return None, False


def _join(cls, detector, filler, tied, arguments):
    """A pre-trainer of a detector and a masked language model, or `None`."""
    backbone, notes = detector.backbone, []
    if filler is None:
        generator, head = fresh_generator(backbone), None
        notes.append(
            "there is no generator: a fresh one was made, "
            f"{generator.num_layers} layers of width {generator.hidden_dim}, "
            "with the discriminator's embeddings. It must learn before its "
            "replacements are worth detecting"
        )
    else:
        generator, head = filler.backbone, filler.head
        if not head.tie_embeddings:
            words = generator.token_embedding.embeddings
            largest = _largest([head.output_embeddings], [words])
            notes.append(
                "the generator's output matrix is its embeddings here; its "
                f"own differed from them by up to {largest:.3g}"
            )
        if tied:
            generator = backbone
        elif "share_embeddings" not in arguments:
            arguments["share_embeddings"], note = _can_share(
                backbone, generator
            )
            notes.append(note)
    # A fresh head is one that every form can hold.
    activation = "gelu" if head is None else head.activation
    arguments.setdefault("generator_head_activation", activation)
    pretrainer = cls(backbone, generator, **arguments)
    replaced = weights.replaced_token_head
    _copy_head(detector.head, pretrainer.discriminator_head, replaced)
    predicted = weights.token_prediction_head
    _copy_head(head, pretrainer.generator_head, predicted)
    load.attach(pretrainer, _summary(detector, filler, notes))
    return pretrainer


def _copy_head(source, target, table_of):
    if source is not None and target is not None:
        found = table_of(source)
        weights.fill(table_of(target), lambda n: weights.to_array(found[n]))


def fresh_generator(backbone):
    """A generator with random weights and the embeddings of a discriminator.

    Its width is the share of the discriminator's that the nearest size of
    the paper has.
    """
    size = SIZES[closest_size(backbone.hidden_dim)]
    width = backbone.hidden_dim * size.generator_hidden_dim // size.hidden_dim
    heads = max(1, width // 64)
    width = max(1, width // heads) * heads
    own = {
        "hidden_dim": width,
        "num_heads": heads,
        "intermediate_dim": 4 * width,
        "name": "generator",
        "embeddings": backbone.embeddings,
        "dtype": backbone.dtype_policy,
    }
    with keras.name_scope("generator"):
        return ElectraBackbone(**{**backbone.get_config(), **own})


def _can_share(backbone, generator):
    """Whether embeddings are to be shared, and what to say about it."""
    for name in SHARED_SIZES:
        ours, theirs = getattr(backbone, name), getattr(generator, name)
        if ours != theirs:
            return False, (
                f"the embeddings are not shared: {name} is {ours} in the "
                f"discriminator and {theirs} in the generator"
            )
    ours, theirs = backbone.embeddings, generator.embeddings
    if ours is theirs:
        return True, "the embeddings are shared"
    largest = _largest(ours.weights, theirs.weights)
    return True, (
        "the generator takes the discriminator's embeddings; its own differed "
        f"by up to {largest:.3g}"
        + ("" if largest else ", so that nothing was lost")
    )


def _largest(ours, theirs):
    """The largest difference of two lists of variables."""
    pairs = [
        [weights.to_array(weights.Weight(variable)) for variable in pair]
        for pair in zip(ours, theirs)
    ]
    return max(float(np.max(np.abs(a - b))) for a, b in pairs)


def _preprocessor(cls, detector, filler, of_text):
    """A preprocessor with the one tokenizer of both, or `None`."""
    tasks = [task for task in (detector, filler) if task is not None]
    tokenizers = [
        task.preprocessor.tokenizer for task in tasks if task.preprocessor
    ]
    if not tokenizers and of_text:
        raise ValueError(
            "There is no vocabulary beside the networks, so that there is no "
            f"preprocessor for {sorted(of_text)}."
        )
    first, last = (tokenizers or [None])[0], (tokenizers or [None])[-1]
    if first is not last and first.get_vocabulary() != last.get_vocabulary():
        raise ValueError(
            "Discriminator and generator must have one vocabulary. Received "
            f"two that differ, of {first.vocabulary_size()} and "
            f"{last.vocabulary_size()} entries. Give a pair that was trained "
            "together, or leave the generator away: a fresh one is made then."
        )
    positions = min(task.backbone.max_sequence_length for task in tasks)
    cls = cls.preprocessor_cls
    return load.build_preprocessor(cls, first, positions, **of_text)


def _summary(detector, filler, notes):
    """One summary of all that was read."""
    parts = [getattr(t, "conversion_summary", None) for t in (detector, filler)]
    parts = [part for part in parts if part is not None]
    if not parts:
        return Summary("preset", "this package", 0, notes=tuple(notes))
    sources = list(dict.fromkeys(part.source for part in parts))
    dropped = [dict(part.dropped) for part in parts]
    if len(parts) > len(sources):  # what one network leaves the other takes
        dropped = [
            {n: reason for n, reason in dropped[0].items() if n in dropped[1]}
        ]
    notes = [*(note for part in parts for note in part.notes), *notes]
    return Summary(
        source=" and ".join(sources),
        form=" and ".join(dict.fromkeys(part.form for part in parts)),
        used=sum(part.used for part in parts),
        dropped=tuple(pair for names in dropped for pair in names.items()),
        new=sum((part.new for part in parts), ()),
        notes=tuple(dict.fromkeys(notes)),
    )
