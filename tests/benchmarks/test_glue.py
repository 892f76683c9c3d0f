"""Tasks of GLUE from files to scores and answers, on a tiny network."""

import pathlib

import keras
import numpy as np
import pytest
from harness.bag_of_words import bag_of_words
from harness.bag_of_words import mean_of_tasks
from harness.files import DataFileError
from harness.glue import GlueExperiment
from harness.options import Options

pytest.importorskip("sklearn")

FAST = {"jit_compile": keras.config.backend() == "jax"}


def test_sst2_from_files_to_answers(preset, glue, tmp_path):
    options = Options(
        epochs=30,
        batch_size=4,
        optimizer={"learning_rate": 0.02, "layer_decay": 1.0},
        **FAST,
    )
    made = GlueExperiment("sst2", preset, glue, options, submissions=tmp_path)
    result = made.run(1, False, "title")
    assert result["metrics"] == {"accuracy": 100.0}
    assert result["chance"] == 50.0
    assert result["curve"][-1][0] == 30 * 4
    assert result["curve"][-1][1] < result["curve"][0][1]
    answers = (tmp_path / "seed-1" / "SST-2.tsv").read_text()
    assert answers == "index\tprediction\n0\t1\n"


def test_scores_are_learnt_from_0_to_1_in_both_orders(preset, glue, tmp_path):
    made = GlueExperiment("stsb", preset, glue, Options(limit=3, **FAST))
    texts, labels = made.train
    assert len(texts[0]) == len(texts[1]) == 6
    np.testing.assert_allclose(labels, [1, 0, 1] * 2)
    np.testing.assert_allclose(made.dev["dev"][1], [1, 0.25])
    task = made.build()
    assert task.problem_type == "regression"
    made.predict = lambda task, x: np.full(len(x[0]), 0.5)
    metrics, chance = made.evaluate(task)
    assert list(metrics) == ["pearson", "spearman"] and chance == 0
    made.answer(task, tmp_path)
    assert (tmp_path / "STS-B.tsv").read_text().endswith("0\t2.500\n")


def test_both_sets_of_mnli_and_the_diagnostic_one(
    preset, glue, tmp_path, capsys
):
    made = GlueExperiment("mnli", preset, glue, Options(**FAST))
    assert made.train[1].tolist() == [1, 2]
    made.predict = lambda task, x: np.ones(len(x[0]), int)
    metrics, chance = made.evaluate(None)
    assert metrics == {"accuracy": 50.0, "accuracy dev_mismatched": 50.0}
    assert chance == 50.0
    (path,) = made.answer(None, tmp_path)
    assert path.name == "AX.tsv"
    assert path.read_text() == "index\tprediction\n0\tentailment\n"
    assert "No answers to test_matched" in capsys.readouterr().err


def test_bag_of_words(glue):
    """It learns single texts and pairs, classes and scores."""
    glue = pathlib.Path(glue)
    results = {
        "sst2": {"accuracy": 100.0},
        "stsb": bag_of_words("stsb", glue),
        "mnli": bag_of_words("mnli", glue),
    }
    assert bag_of_words("sst2", glue) == results["sst2"]
    # Two pairs are too few for trees to split: a constant.
    assert results["stsb"] == {"pearson": 0.0, "spearman": 0.0}
    assert results["mnli"] == {"accuracy": 50.0}
    assert mean_of_tasks(results) == 50.0


def test_random_weights(preset, glue):
    made = GlueExperiment("sst2", preset, glue, Options(**FAST))
    tables = [
        keras.ops.convert_to_numpy(
            made.build(random).backbone.token_embedding.embeddings
        )
        for random in (False, True)
    ]
    assert tables[0].shape == tables[1].shape
    assert not np.allclose(*tables)


def test_a_training_that_diverges(preset, glue):
    made = GlueExperiment("sst2", preset, glue, Options(**FAST))
    task = made.build()
    kernel = task.output_dense.kernel
    kernel.assign(kernel * np.nan)
    with pytest.raises(FloatingPointError, match="not finite"):
        made.predict(task, made.dev["dev"][0])


def test_bad_data_and_tasks(preset, glue, tmp_path):
    with pytest.raises(ValueError, match="Unknown task 'imdb'"):
        GlueExperiment("imdb", preset, glue)
    with pytest.raises(FileNotFoundError, match="dev2.tsv"):
        GlueExperiment("sst2", preset, glue, dev_splits=["dev2"])
    (tmp_path / "SST-2").mkdir()
    (tmp_path / "SST-2" / "train.tsv").write_text("sentence\tlabel\na\t7\n")
    (tmp_path / "SST-2" / "dev.tsv").write_text("sentence\tlabel\nb\t1\n")
    with pytest.raises(DataFileError, match="line 2.*'7'"):
        GlueExperiment("sst2", preset, tmp_path)
