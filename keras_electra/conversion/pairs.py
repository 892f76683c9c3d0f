"""Two networks become a pre-trainer, and a pre-trainer's becomes a task.

The two may come from two checkpoints of two forms and sizes. Their embeddings
are tied again, as in pre-training: the generator takes the discriminator's,
and by how much its own differed is said. A generator that is missing is made.
"""

import types

import keras
import numpy as np

from keras_electra.conversion import google
from keras_electra.conversion import hugging_face
from keras_electra.conversion import keras_hub
from keras_electra.conversion import load
from keras_electra.conversion import weights
from keras_electra.conversion.heads import HEADS
from keras_electra.conversion.heads import head_of
from keras_electra.conversion.weights import DISCRIMINATOR
from keras_electra.conversion.weights import GENERATOR
from keras_electra.conversion.weights import Summary
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
# Attributes of a pre-trainer with each network and its head, and their task.
PARTS = {
    DISCRIMINATOR: (
        "backbone",
        "discriminator_head",
        "ElectraReplacedTokenDetector",
    ),
    GENERATOR: ("generator", "generator_head", "ElectraMaskedLM"),
}


def register():
    """Makes `from_preset` and `export_to_...` know all forms."""
    OPENERS.extend([open_pretrainer, open_part, load.open_preset])
    EXPORTERS["transformers"] = _writer(hugging_face)
    EXPORTERS["keras_hub"] = _writer(keras_hub)
    EXPORTERS["tf1"] = google.write


def _writer(form):
    """Writes a task, or the networks of a pre-trainer, each into a folder."""

    def write(task, folder):
        if not isinstance(task, ElectraPretrainer):
            form.write(task, head_of(type(task)), folder)
            return
        for network, (backbone, head, name) in PARTS.items():
            part = types.SimpleNamespace(
                backbone=getattr(task, backbone),
                head=getattr(task, head),
                preprocessor=task.preprocessor,
            )
            if part.backbone is not None and part.head is not None:
                form.write(part, HEADS[name], folder / network)

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
    names = PARTS[head.network][:2]
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
    tied, tasks = False, []
    if generator is None:
        generator, tied = _generator_beside(discriminator)
    with load.silence():  # one summary of both is shown in the end
        for task_cls, source in (
            (ElectraReplacedTokenDetector, discriminator),
            (ElectraMaskedLM, generator),
        ):
            if source is not None:
                task = task_cls.from_preset(source, load_weights, **common)
                tasks.append(task)
    if "preprocessor" not in own:
        own["preprocessor"] = _preprocessor(cls, tasks, of_text)
    return _join(cls, tasks, tied, own)


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
        if checkpoint.is_pair:
            return preset, checkpoint.is_tied
    return None, False


def _join(cls, tasks, tied, arguments):
    """A pre-trainer of a detector and, if there is one, a token predictor."""
    backbone, notes = tasks[0].backbone, []
    heads = [(tasks[0].head, weights.REPLACED_HEAD)]
    if len(tasks) == 1:
        generator = fresh_generator(backbone)
        # A head that every form can hold.
        arguments.setdefault("generator_head_activation", "gelu")
        notes.append(
            "there is no generator: a fresh one was made, "
            f"{generator.num_layers} layers of width {generator.hidden_dim}, "
            "with the discriminator's embeddings. It must learn before its "
            "replacements are worth detecting"
        )
    else:
        generator, head = tasks[1].backbone, tasks[1].head
        heads.append((head, weights.TOKEN_HEAD))
        arguments.setdefault("generator_head_activation", head.activation)
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
    pretrainer = cls(backbone, generator, **arguments)
    targets = (pretrainer.discriminator_head, pretrainer.generator_head)
    for (source, parts), target in zip(heads, targets):
        if target is not None:
            found = weights.of_parts(source, parts)
            weights.fill(
                weights.of_parts(target, parts),
                lambda name: weights.to_array(found[name]),
            )
    load.attach(pretrainer, _summary(tasks, notes))
    return pretrainer


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


def _preprocessor(cls, tasks, of_text):
    """A preprocessor with the one tokenizer of all tasks, or `None`."""
    found = [t.preprocessor.tokenizer for t in tasks if t.preprocessor]
    if not found and of_text:
        raise ValueError(
            "There is no vocabulary beside the networks, so that there is no "
            f"preprocessor for {sorted(of_text)}."
        )
    if len({tuple(tokenizer.get_vocabulary()) for tokenizer in found}) > 1:
        sizes = " and ".join(str(t.vocabulary_size()) for t in found)
        raise ValueError(
            "Discriminator and generator must have one vocabulary. Received "
            f"two that differ, of {sizes} entries. Give a pair that was "
            "trained together, or leave the generator away: a fresh one is "
            "made then."
        )
    positions = min(task.backbone.max_sequence_length for task in tasks)
    tokenizer = found[0] if found else None
    return load.build_preprocessor(
        cls.preprocessor_cls, tokenizer, positions, **of_text
    )


def _summary(tasks, notes):
    """One summary of all that was read."""
    parts = [getattr(task, "conversion_summary", None) for task in tasks]
    parts = [part for part in parts if part is not None]
    if not parts:
        return Summary("preset", "this package", 0, notes=tuple(notes))
    sources = dict.fromkeys(part.source for part in parts)
    dropped = {name: why for part in parts for name, why in part.dropped}
    if len(sources) < len(parts):  # what one network leaves the other takes
        for part in parts:
            kept = dict(part.dropped)
            dropped = {n: why for n, why in dropped.items() if n in kept}
    notes = [*(note for part in parts for note in part.notes), *notes]
    return Summary(
        source=" and ".join(sources),
        form=" and ".join(dict.fromkeys(part.form for part in parts)),
        used=sum(part.used for part in parts),
        dropped=tuple(dropped.items()),
        new=sum((part.new for part in parts), ()),
        notes=tuple(dict.fromkeys(notes)),
    )
