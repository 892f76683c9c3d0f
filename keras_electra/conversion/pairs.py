"""Two networks become a pre-trainer, and a pre-trainer's becomes a task.

As in pre-training the generator takes the discriminator's embeddings, and by
how much its own differed is said. A generator that is missing is made.
"""

import functools
from typing import Any

import keras
import numpy as np

from keras_electra.backend.numerics import MASKED_SCORE
from keras_electra.conversion import google
from keras_electra.conversion import hugging_face
from keras_electra.conversion import keras_hub
from keras_electra.conversion import load
from keras_electra.conversion import weights
from keras_electra.conversion.heads import head_of
from keras_electra.generation.text_generator import ElectraTextGenerator
from keras_electra.model import sizes
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.presets import EXPORTERS
from keras_electra.presets import OPENERS
from keras_electra.presets import split_arguments
from keras_electra.pretraining.pretrainer import ElectraPretrainer
from keras_electra.tasks import masked_lm
from keras_electra.tasks import replaced_token_detector

PAIRS = ElectraPretrainer, ElectraTextGenerator
TASKS = {
    "discriminator": replaced_token_detector.ElectraReplacedTokenDetector,
    "generator": masked_lm.ElectraMaskedLM,
}


def _write(form, task, folder):
    """Writes a task, or the networks of a pre-trainer, each into a folder."""
    if not isinstance(task, ElectraPretrainer):
        form.write(task, head_of(type(task)), folder)
        return
    for network, part in weights.tasks_of(task).items():
        form.write(part, head_of(TASKS[network]), folder / network)


def saved_pair(preset: Any, classes: Any = PAIRS) -> Any:
    """Which of `classes` a preset was saved from, or `None`."""
    name = load.Files(preset).read_json("task.json").get("registered_name")
    names = {f"keras_electra>{cls.__name__}": cls for cls in classes}
    return names.get(str(name))


def _open_pair(cls, preset, load_weights, arguments, whole=ElectraPretrainer):
    """A pre-trainer from its preset, and arguments for another class of it."""
    own, text = split_arguments(cls, arguments)
    dtype = own.pop("dtype", None)
    whole = whole.from_preset(preset, load_weights, dtype=dtype)
    if "preprocessor" not in own and whole.preprocessor is not None:
        own["preprocessor"] = cls.preprocessor_cls.from_preset(preset, **text)
    return whole, own


def open_part(cls: Any, preset: Any, load_weights: bool, arguments: Any) -> Any:
    """One of `OPENERS`: a network of a preset with the head of its task."""
    # KerasHub reads a head only for the class that wrote it.
    network = head_of(cls) and head_of(cls).network
    if network is None or "backbone" in arguments:
        return None
    task = TASKS[network]
    is_part = cls is not task and saved_pair(preset, [task])
    if not is_part and not saved_pair(preset):
        return None
    opener = task if is_part else ElectraPretrainer
    whole, own = _open_pair(cls, preset, load_weights, arguments, opener)
    part = whole if is_part else weights.tasks_of(whole).get(network)
    if part is None:
        raise ValueError(
            f"{preset!r} was pre-trained without a `{network}`. Open it as "
            "another task."
        )
    return cls(**{"backbone": part.backbone, "head": part.head, **own})


def open_pretrainer(cls, preset, load_weights, arguments):
    """One of `OPENERS`: two networks from one or two presets of any form."""
    if not issubclass(cls, ElectraPretrainer):
        return None
    is_writer = issubclass(cls, ElectraTextGenerator)
    if is_writer and preset is not None and (saved := saved_pair(preset)):
        if saved is cls or "backbone" in arguments:
            return None
        return _open_writer(cls, preset, load_weights, arguments)
    discriminator = arguments.pop("discriminator", preset)
    generator, is_one = arguments.pop("generator", None), False
    if generator is None:
        is_ours = saved_pair(discriminator)
        if is_ours and preset is not None:
            return None
        files = load.Files(discriminator, "generator")
        if is_ours or files.is_pair:
            generator = files.source
        elif files.has_index():  # of other forms only the original's has both
            checkpoint = load.open_checkpoint(files)
            if len(checkpoint.networks) == 2:
                generator, is_one = discriminator, checkpoint.is_tied
    own, text = split_arguments(cls, arguments)
    sources = [s for s in (discriminator, generator) if s is not None]
    common = {"dtype": own.pop("dtype", None), "preprocessor": None}
    tasks = []
    for part, source in zip(TASKS.values(), sources):
        # One summary of both is shown in the end.
        task = load.open_preset(part, source, load_weights, common, show=False)
        task = task or part.from_preset(source, load_weights, **common)
        tasks.append(task)
    notes, may_pad = [], True
    if "preprocessor" not in own:
        found = _preprocessors(cls.preprocessor_cls, sources, text, notes)
        own["preprocessor"] = found[0] if found else None
        may_pad = len(found) == len(sources)  # it is one vocabulary
    return _join(cls, tasks, is_one, own, notes, may_pad)


def _open_writer(cls, preset, load_weights, arguments):
    """An `ElectraTextGenerator` of the networks of a pre-trainer's preset."""
    whole, own = _open_pair(cls, preset, load_weights, arguments)
    writer = cls(whole.backbone, **{"generator": whole.generator, **own})
    heads = {"backbone": "discriminator_head", "generator": "generator_head"}
    for network, head in heads.items():
        parts = getattr(writer, head), getattr(whole, head)
        is_same = getattr(writer, network) is getattr(whole, network)
        if is_same and None not in parts:
            parts[0].set_weights(parts[1].get_weights())
    return writer


def _join(cls, tasks, is_one, own, notes, may_pad):
    """A pre-trainer of a detector and, if there is one, a token predictor."""
    backbone, generator = tasks[0].backbone, tasks[-1].backbone
    activation = tasks[-1].head.activation
    notes.extend(load.vocabulary_notes(backbone, own["preprocessor"]))
    if is_one:
        generator = backbone
    elif len(tasks) == 1:
        activation = "gelu"  # every form can hold it
        generator = fresh_generator(backbone)
        notes.append(
            "there is no generator: a fresh one was made, which must learn "
            f"first: {generator.num_layers} layers, {generator.hidden_dim} wide"
        )
    elif own.get("share_embeddings", True):
        generator, note = _share(backbone.embeddings, generator, may_pad)
        notes.append(note)
        is_shared = generator.embeddings is backbone.embeddings
        own.setdefault("share_embeddings", is_shared)
    own.setdefault("generator_head_activation", activation)
    pretrainer = cls(backbone, generator, **own)
    parts = weights.tasks_of(pretrainer)
    for task, network in zip(tasks, TASKS):
        if network in parts:
            table = head_of(type(task)).weights
            arrays = weights.arrays_of(table(task))
            if weights.OUTPUT_BIAS in arrays:
                bias = arrays[weights.OUTPUT_BIAS][: backbone.vocabulary_size]
                more = backbone.vocabulary_size - len(bias)
                # What is no token is never drawn.
                bias = np.pad(bias, (0, more), constant_values=MASKED_SCORE)
                arrays[weights.OUTPUT_BIAS] = bias
            weights.fill(table(parts[network]), arrays.get)
            if weights.OUTPUT_TABLE in arrays:
                notes.append(
                    "the generator's output matrix is its embeddings here"
                )
    found = [getattr(task, "conversion_summary", None) for task in tasks]
    load.attach(pretrainer, weights.join([*filter(None, found)], notes))
    return pretrainer


def _preprocessors(cls, sources, arguments, notes):
    """Those of one or two networks; the first fits both. Adds `notes`."""
    found, missing = [], None
    for source in sources:
        try:
            found.append(cls.from_preset(source, **arguments))
        except FileNotFoundError as error:  # there is no vocabulary
            missing = error
    if arguments and not found:
        raise missing
    vocabularies = [each.tokenizer.get_vocabulary() for each in found]
    if vocabularies[1:] not in ([], vocabularies[:1]):
        counts = " and ".join(str(len(each)) for each in vocabularies)
        raise ValueError(
            "Discriminator and generator must have one vocabulary. Received "
            f"two, of {counts} entries. Give no generator for a fresh one."
        )
    found.sort(key=lambda each: each.sequence_length)
    if len({each.tokenizer.fingerprint() for each in found}) > 1:
        notes.append(
            "the tokenizers differ: is the one with "
            f"{found[0].tokenizer.pipeline.settings} right? Else pass these"
        )
    return found


def fresh_generator(backbone: Any) -> Any:
    """A random generator, as narrow as that of the paper's nearest size."""
    size = sizes.SIZES[sizes.closest_size(backbone.hidden_dim)]
    width = backbone.hidden_dim * size.generator_hidden_dim // size.hidden_dim
    heads = max(1, width // 64)
    width = max(1, width // heads) * heads
    config = backbone.get_config()
    config.pop("changed_layers", None)
    config.update(hidden_dim=width, num_heads=heads, intermediate_dim=4 * width)
    config.update(name="generator", dtype=backbone.dtype_policy)
    with keras.name_scope("generator"):
        return ElectraBackbone(**config, embeddings=backbone.embeddings)


def _share(embeddings, generator, may_pad):
    """The generator, with the embeddings if they fit, and a note."""
    rows = embeddings.vocabulary_size if may_pad else None
    try:
        shared = generator.with_embeddings(embeddings, "generator", rows)
    except ValueError as error:
        return generator, f"the embeddings are not shared. {error}"
    own = generator.embeddings.get_weights()
    pairs = zip(embeddings.get_weights(), own)
    pairs = [(a[: len(b)], b[: len(a)]) for a, b in pairs]
    largest = max(float(np.max(np.abs(a - b))) for a, b in pairs)
    return shared, (
        "the generator takes the discriminator's embeddings; its own differed "
        f"by up to {largest:.3g}{'' if largest else ': nothing was lost'}"
    )


# `from_preset` and `export_to_...` know all forms when this is imported.
OPENERS.extend([open_pretrainer, open_part, load.open_preset])
EXPORTERS["transformers"] = functools.partial(_write, hugging_face)
EXPORTERS["keras_hub"] = functools.partial(_write, keras_hub)
EXPORTERS["tf1"] = google.write
