"""Two networks become a pre-trainer, and a pre-trainer's becomes a task.

As in pre-training the generator takes the discriminator's embeddings, and by
how much its own differed is said. A generator that is missing is made.
"""

import functools
import os
from typing import Any

import keras
import numpy as np

from keras_electra.backend.numerics import MASKED_SCORE
from keras_electra.conversion import hugging_face
from keras_electra.conversion import load
from keras_electra.conversion import programs
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


def _write(write, task, folder):
    """Writes a task, or the networks of a pre-trainer, each into a folder."""
    if not isinstance(task, ElectraPretrainer):
        write(task, head_of(type(task)), folder)
        return
    for network, part in weights.tasks_of(task).items():
        write(part, head_of(TASKS[network]), folder / network)


def saved_class(preset: Any, classes: Any = PAIRS) -> Any:
    """Which of `classes` a preset was saved from, or `None`."""
    name = load.Files(preset).read_json("task.json").get("registered_name")
    names = {f"keras_electra>{cls.__name__}": cls for cls in classes}
    return names.get(str(name))


def open_part(cls: Any, preset: Any, load_weights: bool, arguments: Any) -> Any:
    """One of `OPENERS`: a network of a preset with the head of its task."""
    # KerasHub reads a head only for the class that wrote it.
    network = head_of(cls) and head_of(cls).network
    if network is None or "backbone" in arguments:
        return None
    saved = saved_class(preset, (TASKS[network], *PAIRS))
    if saved in (None, cls):
        return None
    own, text = split_arguments(cls, arguments)
    dtype = own.pop("dtype", None)
    part = whole = saved.from_preset(preset, load_weights, dtype=dtype)
    if saved in PAIRS:
        part = weights.tasks_of(whole, False).get(network)
    if part is None:
        raise ValueError(
            f"{preset!r} was pre-trained without a `{network}`. Open it as "
            "another task."
        )
    if "preprocessor" not in own and whole.preprocessor is not None:
        own["preprocessor"] = cls.preprocessor_cls.from_preset(preset, **text)
    return cls(**{"backbone": part.backbone, "head": part.head, **own})


def open_pretrainer(cls, preset, load_weights, arguments):
    """One of `OPENERS`: two networks from one or two presets of any form."""
    if not issubclass(cls, ElectraPretrainer):
        return None
    given = arguments.get("generator")  # a place, a network, or "backbone"
    is_place = isinstance(given, (str, os.PathLike)) and given != "backbone"
    saved = preset is not None and saved_class(preset)
    is_whole = saved and ("backbone" in arguments or issubclass(saved, cls))
    if is_whole and not is_place:
        return None
    sources, is_one = [arguments.pop("discriminator", preset)], False
    if is_place:
        sources.append(arguments.pop("generator"))
    elif given is None:
        files = load.Files(*sources, "generator")
        if files.is_pair or saved_class(*sources):
            sources.append(files.source)
        elif files.has_index():  # of other forms only the original's has both
            checkpoint = load.open_checkpoint(files)
            if len(checkpoint.networks) == 2:
                sources, is_one = sources * 2, checkpoint.is_tied
    own, text = split_arguments(cls, arguments)
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
    pretrainer = _join(cls, tasks, is_one, own, notes, may_pad)
    found = [getattr(task, "conversion_summary", None) for task in tasks]
    summary = weights.join([*filter(None, found)], notes)
    load.attach(pretrainer, summary, show=not saved)
    return pretrainer


def _join(cls, tasks, is_one, own, notes, may_pad):
    """A pre-trainer of a detector and, if there is one, a token predictor."""
    backbone, generator = tasks[0].backbone, tasks[-1].backbone
    notes.extend(load.vocabulary_notes(backbone, own["preprocessor"]))
    if is_one:
        generator = backbone
    elif "generator" in own:
        generator = own.pop("generator")
    elif len(tasks) == 1:
        own.setdefault("generator_head_activation", "gelu")  # in every form
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
    if len(tasks) == 2:
        activation = tasks[1].head.activation
        own.setdefault("generator_head_activation", activation)
    pretrainer = cls(backbone, generator, **own)
    parts = weights.tasks_of(pretrainer, whole=False)
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
EXPORTERS["transformers"] = functools.partial(_write, hugging_face.write)
EXPORTERS["keras_hub"] = functools.partial(_write, programs.write_keras_hub)
EXPORTERS["tf1"] = programs.write_google
