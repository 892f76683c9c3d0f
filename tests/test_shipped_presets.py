"""The shipped presets: offline, and with equal outputs on every backend.

The numbers were recorded on torch. After a new training of a preset:

    KERAS_BACKEND=torch python -m tests.test_shipped_presets
"""

import json
import pathlib
import socket

import numpy as np
import pytest

import keras_electra
from keras_electra.presets import presets_folder

TINY = "electra_tiny_en"
MEGABYTES = {TINY: 25, "electra_small_en": 60}
GOLDEN = pathlib.Path(__file__).parent / "golden"
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


def found(preset):
    """What a preset says to the sentences."""
    detector = keras_electra.ElectraReplacedTokenDetector.from_preset(preset)
    filler = keras_electra.ElectraMaskedLM.from_preset(preset)
    embedder = keras_electra.ElectraTextEmbedder.from_preset(preset)
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


def recorded_of(preset):
    return GOLDEN / f"{preset}.json"


@pytest.mark.parametrize("preset", MEGABYTES)
def test_outputs_are_as_recorded(preset, offline):
    recorded = json.loads(recorded_of(preset).read_text(encoding="utf-8"))
    now = found(preset)
    for name in ("replaced", "filled"):
        for ours, theirs in zip(now[name], recorded[name], strict=True):
            assert [token for token, _ in ours] == [t for t, _ in theirs]
            np.testing.assert_allclose(
                [p for _, p in ours], [p for _, p in theirs], atol=1e-4
            )
    np.testing.assert_allclose(now["embedded"], recorded["embedded"], atol=1e-4)


@pytest.mark.parametrize("preset", MEGABYTES)
def test_size_on_disk(preset):
    folder = presets_folder() / preset
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    assert size < MEGABYTES[preset] * 1e6


def test_it_knows_more_than_frequencies():
    """Words that fit are likelier than frequent ones."""
    filler = keras_electra.ElectraMaskedLM.from_preset(TINY)
    sentences = [
        "The film was directed [MASK] John Ford.",
        "She opened the [MASK] and went into the room.",
    ]
    prepositions, nouns = (
        [token for token, _ in guesses[0]]
        for guesses in filler.fill_mask(sentences, top_k=3)
    )
    assert prepositions[0] == "by"
    assert "door" in nouns
    # Of the whole vocabulary, so that the frequent words are among them.
    [everything] = filler.fill_mask(sentences[1], top_k=8_000)
    odds = dict(everything)
    frequent = ["the", ",", ".", "of", "and", "in", "to", "a", "was"]
    assert odds["door"] > max(odds[word] for word in frequent)


if __name__ == "__main__":
    for preset in MEGABYTES:
        recorded_of(preset).write_text(
            json.dumps(found(preset), indent=1) + "\n", encoding="utf-8"
        )
