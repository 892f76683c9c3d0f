"""Checkpoints of other packages, tiny, with no weight at its initial value."""

import contextlib
import importlib.util
import pathlib

import keras
import numpy as np

from tests import checks

VOCABULARY = checks.VOCABULARY
X = checks.ids([2, 5, 6, 7, 3, 8, 9, 3], [2, 12, 10, 3])
X["segment_ids"][0, 5:] = 1
SIZES = {
    "vocab_size": len(VOCABULARY),
    "embedding_size": 4,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 16,
}


def load_example():
    """The program that converts checkpoints, as a module."""
    root = pathlib.Path(__file__).resolve().parent.parent.parent
    spec = importlib.util.spec_from_file_location(
        "convert_checkpoint", root / "examples" / "convert_checkpoint.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


compare_with_source = load_example().compare_with_source


def network(architecture, seed=0, scale=0.3, **config):
    """A network of transformers with random weights."""
    import transformers

    model = getattr(transformers, architecture)(
        transformers.ElectraConfig(**{**SIZES, **config})
    )
    return randomize(model, seed, scale)


def randomize(model, seed=0, scale=0.3):
    """Gives a network of transformers random weights; returns it."""
    import torch

    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(0.0, scale)
            if name.endswith("LayerNorm.weight"):
                parameter.add_(1.0)
    model.tie_weights()
    return model.eval()


def save(model, folder, vocabulary=VOCABULARY, **kwargs):
    """Saves a network and its vocabulary; returns the path as a string."""
    model.save_pretrained(folder, **kwargs)
    if vocabulary is not None:
        write_vocabulary(folder, vocabulary)
    return str(folder)


def write_vocabulary(folder, vocabulary=VOCABULARY):
    text = "".join(f"{token}\n" for token in vocabulary)
    (folder / "vocab.txt").write_text(text, encoding="utf-8")


def tensors_of(model):
    """What a file of the model holds: names to tensors, tied ones included."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same_weights(model, other):
    """Bit for bit, in order."""
    ours, theirs = model.get_weights(), other.get_weights()
    return len(ours) == len(theirs) and all(
        np.array_equal(a, b) for a, b in zip(ours, theirs)
    )


@contextlib.contextmanager
def unallocated():
    """Inside, variables have shapes and no values, and never get any."""
    with keras.StatelessScope():
        yield
        keras.utils.clear_session(free_memory=False)
