"""Words with labels from files to scores, on a tiny network."""

import keras
import pytest
from harness.options import Options
from harness.tagging import TaggingExperiment

pytest.importorskip("seqeval")


def write(path, *sentences):
    path.write_text("\n\n".join("\n".join(words) for words in sentences) + "\n")
    return path


def test_chunks_are_learnt(preset, tmp_path):
    sentence = ["the D B-NP", "chef N I-NP", "ate V B-VP", ". . O"]
    train = write(tmp_path / "train.txt", *[sentence] * 8)
    dev = write(tmp_path / "dev.txt", sentence[:3], sentence)
    made = TaggingExperiment(
        "chunks",
        preset,
        train,
        dev,
        Options(
            epochs=30,
            batch_size=4,
            optimizer={"learning_rate": 0.01, "layer_decay": 1.0},
            jit_compile=keras.config.backend() == "jax",
        ),
    )
    assert made.labels == ["B-NP", "E-NP", "O", "S-VP"]
    assert made.settings["train"].endswith("train.txt")
    result = made.run(1, False, "title")
    assert result["metrics"] == dict.fromkeys(
        ("f1", "precision", "recall", "accuracy"), 100.0
    )
    # A chunk a word, VP: two of seven are right, of four.
    assert result["chance"] == pytest.approx(100 * 2 * 2 / (7 + 4))


def test_labels_that_are_no_chunks(preset, tmp_path):
    train = write(tmp_path / "train.txt", ["the D", "chef N", "ate V"])
    dev = write(tmp_path / "dev.txt", ["the D", "meal N"])
    made = TaggingExperiment("tags", preset, train, dev)
    assert made.main_metric == "accuracy"
    assert made.labels == ["D", "N", "V"]
    metrics, chance = made.evaluate(made.build())
    assert list(metrics) == ["accuracy"] and chance == 50.0
