import pytest
from harness.metrics import GLUE_METRICS
from harness.recipes import GLUE
from harness.recipes import QUESTION_ANSWERING
from harness.recipes import TAGGING
from harness.recipes import glue_recipe


def test_all_tasks_of_glue_are_there():
    assert set(GLUE) == {
        *("cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte"),
        *("wnli", "ax"),
    }
    for recipe in GLUE.values():
        assert recipe.metrics and set(recipe.metrics) <= set(GLUE_METRICS)
        assert bool(recipe.labels) != bool(recipe.score_range)
        assert (recipe.sequence_length, recipe.batch_size) == (128, 32)


def test_what_differs_between_tasks():
    # Original `configure_finetuning.py:134-146`.
    longer = {name for name, recipe in GLUE.items() if recipe.epochs == 10}
    assert longer == {"rte", "stsb"}
    twice = {name for name, recipe in GLUE.items() if recipe.both_orders}
    assert twice == {"mrpc", "stsb"}
    assert (QUESTION_ANSWERING.epochs, TAGGING.epochs) == (2, 3)
    assert QUESTION_ANSWERING.sequence_length == 512
    assert TAGGING.sequence_length == 256
    assert GLUE["mnli"].dev_splits == ("dev_matched", "dev_mismatched")
    files = [test.submission for test in GLUE["mnli"].test_sets]
    assert files == ["MNLI-m.tsv", "MNLI-mm.tsv", "AX.tsv"]
    assert [test.submission for test in GLUE["ax"].test_sets] == ["AX.tsv"]


def test_unknown_task():
    with pytest.raises(ValueError, match="Unknown task 'imdb'.*cola, sst2"):
        glue_recipe("imdb")
