"""Two networks become a pre-trainer, and a pre-trainer's becomes a task.

The two may come from two checkpoints of two forms and sizes. Their embeddings
are tied again, as in pre-training: the generator takes the discriminator's,
and by how much its own differed is said. A generator that is missing is made.
"""

import functools

import keras
import numpy as np

from keras_electra.conversion import google
from keras_electra.conversion import hugging_face
from keras_electra.conversion import keras_hub
from keras_electra.conversion import load
from keras_electra.conversion import weights
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

# Why one of two networks drops what the other takes.
TAKEN_BY_THE_OTHER = ("of the other network", "not of this task's head")
TASKS = {
    "discriminator": ElectraReplacedTokenDetector,
    "generator": ElectraMaskedLM,
}


def _write(form, task, folder):
    """Writes a task, or the networks of a pre-trainer, each into a folder."""
    if not isinstance(task, ElectraPretrainer):
        form.write(task, head_of(type(task)), folder)
        return
    for network, part in weights.tasks_of(task).items():
        form.write(part, head_of(TASKS[network]), folder / network)


def is_pretrainer(preset):
    """Whether a preset was saved from an `ElectraPretrainer`."""
    name = load.Files(preset).read_json("task.json").get("registered_name")
    return name == "keras_electra>ElectraPretrainer"


def open_part(cls, preset, load_weights, arguments):
    """One of `OPENERS`: a network of a pre-trainer's preset and its head.

    KerasHub reads a head only for the class that wrote it.
    """
    network = head_of(cls) and head_of(cls).network
    if network is None or "backbone" in arguments or not is_pretrainer(preset):
        return None
    own, passed_on = split_arguments(cls, arguments)
    pretrainer = ElectraPretrainer.from_preset(
        preset, load_weights, dtype=own.pop("dtype", None)
    )
    part = weights.tasks_of(pretrainer).get(network)
    if part is None:
        raise ValueError(
            f"Preset {preset!r} was pre-trained without a `{network}`. Open it "
            "as another task."
        )
    if "preprocessor" not in own and part.preprocessor is not None:
        preprocessor = cls.preprocessor_cls.from_preset(preset, **passed_on)
        own["preprocessor"] = preprocessor
    return cls(**{"backbone": part.backbone, "head": part.head, **own})


def open_pretrainer(cls, preset, load_weights, arguments):
    """One of `OPENERS`: two networks from one or two presets of any form."""
    if not issubclass(cls, ElectraPretrainer):
        return None
    discriminator = arguments.pop("discriminator", preset)
    generator, is_one = arguments.pop("generator", None), False
    if generator is None:
        if preset is not None and is_pretrainer(preset):
            return None
        generator, is_one = _generator_beside(discriminator)
    own, of_text = split_arguments(cls, arguments)
    of_text, of_tokens = split_arguments(cls.preprocessor_cls, of_text)
    common = {"dtype": own.pop("dtype", None), "compile": False, **of_tokens}
    tasks = []
    for task_cls, source in zip(TASKS.values(), (discriminator, generator)):
        if source is not None:
            # One summary of both is shown in the end.
            task = load.open_preset(
                task_cls, source, load_weights, common, show=False
            )
            task = task or task_cls.from_preset(source, load_weights, **common)
            tasks.append(task)
    if "preprocessor" not in own:
        own["preprocessor"] = _preprocessor(cls, tasks, of_text)
    return _join(cls, tasks, is_one, own)


def _generator_beside(preset):
    """The preset of a discriminator's generator or `None`; if both are one."""
    files = load.Files(preset, "generator")
    if files.is_pair:
        return files.path, False
    if is_pretrainer(preset):
        return preset, False
    # Of all other forms only the original's holds both.
    checkpoint = load.open_checkpoint(files) if files.has_index() else None
    if checkpoint is not None and checkpoint.is_pair:
        return preset, checkpoint.is_tied
    return None, False


def _join(cls, tasks, is_one, arguments):
    """A pre-trainer of a detector and, if there is one, a token predictor."""
    backbone, generator = tasks[0].backbone, tasks[-1].backbone
    notes, activation = [], "gelu"  # of a head that every form can hold
    if len(tasks) == 1:
        generator = fresh_generator(backbone)
        notes.append(
            "there is no generator: a fresh one was made, "
            f"{generator.num_layers} layers of width {generator.hidden_dim}. "
            "It must learn before its replacements are worth detecting"
        )
    else:
        activation = tasks[1].head.activation
        if not tasks[1].head.tie_embeddings:
            notes.append(
                "the generator's output matrix is its embeddings here, as in "
                "pre-training; the one that it had is dropped"
            )
        if is_one:
            generator = backbone
        elif "share_embeddings" not in arguments:
            generator, note = _share(backbone, generator)
            notes.append(note)
            is_shared = generator.embeddings is backbone.embeddings
            arguments["share_embeddings"] = is_shared
    arguments.setdefault("generator_head_activation", activation)
    pretrainer = cls(backbone, generator, **arguments)
    parts = weights.tasks_of(pretrainer)
    for task, network in zip(tasks, TASKS):
        if network in parts:
            head = head_of(type(task))
            arrays = weights.arrays_of(head.weights(task))
            weights.fill(head.weights(parts[network]), arrays.get)
    load.attach(pretrainer, _summary(tasks, notes))
    return pretrainer


def fresh_generator(backbone):
    """A random generator, as narrow as that of the paper's nearest size."""
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


def _share(backbone, generator):
    """The generator, with the backbone's embeddings if they fit, and a note."""
    embeddings, own = backbone.embeddings, generator.embeddings
    try:
        shared = generator.with_embeddings(embeddings, name="generator")
    except ValueError as error:
        return generator, f"the embeddings are not shared. {error}"
    pairs = zip(embeddings.get_weights(), own.get_weights())
    largest = max(float(np.max(np.abs(a - b))) for a, b in pairs)
    nothing = "" if largest else ", so that nothing was lost"
    return shared, (
        "the generator takes the discriminator's embeddings; its own differed "
        f"by up to {largest:.3g}{nothing}"
    )


def _preprocessor(cls, tasks, of_text):
    """A preprocessor with the one tokenizer of all tasks, or `None`."""
    found = [t.preprocessor.tokenizer for t in tasks if t.preprocessor]
    if not found and of_text:
        raise ValueError(f"There is no vocabulary for {sorted(of_text)}.")
    if any(t.get_vocabulary() != found[0].get_vocabulary() for t in found):
        sizes = " and ".join(str(t.vocabulary_size()) for t in found)
        raise ValueError(
            "Discriminator and generator must have one vocabulary. Received "
            f"two that differ, of {sizes} entries. Give two that were trained "
            "together, or no generator: a fresh one is made then."
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
    taken = TAKEN_BY_THE_OTHER if len(parts) > 1 else ()
    dropped, new = {}, {}
    for part in parts:
        dropped |= {n: w for n, w in part.dropped.items() if w not in taken}
        new |= part.new
    found = [*(note for part in parts for note in part.notes), *notes]
    return weights.Summary(
        " and ".join(dict.fromkeys(p.source for p in parts)) or "preset",
        " and ".join(dict.fromkeys(p.form for p in parts)) or "this package",
        sum(part.used for part in parts),
        dropped,
        new,
        list(dict.fromkeys(found)),
    )


# `from_preset` and `export_to_...` know all forms when this is imported.
OPENERS.extend([open_pretrainer, open_part, load.open_preset])
EXPORTERS["transformers"] = functools.partial(_write, hugging_face)
EXPORTERS["keras_hub"] = functools.partial(_write, keras_hub)
EXPORTERS["tf1"] = google.write
