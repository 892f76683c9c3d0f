"""The shipped preset: offline, and with equal outputs on every backend.

The numbers were recorded on torch. After a new training of the preset:

    KERAS_BACKEND=torch python -m tests.hub.test_electra_tiny_en
"""

import json
import pathlib
import socket

import numpy as np
import pytest

import keras_electra
from keras_electra.hub import registry

NAME = "electra_tiny_en"
RECORDED = pathlib.Path(__file__).parent.parent / "golden" / f"{NAME}.json"
SENTENCES = [
    "The chef kicked the delicious meal.",
    "The capital of France is a small river in the north of the country.",
    "She opened the door and looked into the dark room.",
]
MASKED = [
    "He was born in 1856 and [MASK] in 1921.",
    "The capital of [MASK] is Paris.",
    "She closed the [MASK] and looked at him.",
]


@pytest.fixture
def offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("The preset asked the network for something.")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def found():
    """What the preset says to the sentences."""
    detector = keras_electra.ElectraReplacedTokenDetector.from_preset(NAME)
    filler = keras_electra.ElectraMaskedLM.from_preset(NAME)
    embedder = keras_electra.ElectraTextEmbedder.from_preset(NAME)
    return {
        "replaced": [
            [[token.token, float(token.probability)] for token in tokens]
            for tokens in detector.detect(SENTENCES)
        ],
        "filled": [
            [[token, float(p)] for token, p in guesses[0]]
            for guesses in filler.fill_mask(MASKED)
        ],
        "embedded": np.asarray(embedder.embed(SENTENCES))[:, :8].tolist(),
    }


def test_outputs_are_as_recorded(offline):
    now, recorded = found(), json.loads(RECORDED.read_text(encoding="utf-8"))
    for name in ("replaced", "filled"):
        for ours, theirs in zip(now[name], recorded[name], strict=True):
            assert [token for token, _ in ours] == [t for t, _ in theirs]
            np.testing.assert_allclose(
                [p for _, p in ours], [p for _, p in theirs], atol=1e-4
            )
    np.testing.assert_allclose(now["embedded"], recorded["embedded"], atol=1e-4)


def test_size_on_disk():
    folder = registry.presets_folder() / NAME
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    assert size < 25e6


def test_it_knows_more_than_frequencies():
    """Words that fit are likelier than frequent ones."""
    filler = keras_electra.ElectraMaskedLM.from_preset(NAME)
    sentences = [
        "They have been married [MASK] ten years.",
        "She opened the [MASK] and went into the room.",
    ]
    [[preposition], [noun]] = [
        [token for token, _ in guesses[0]]
        for guesses in filler.fill_mask(sentences, top_k=1)
    ]
    assert preposition == "for"
    assert noun == "door"


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(found(), indent=1) + "\n", encoding="utf-8")
