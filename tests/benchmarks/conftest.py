"""A preset of 13 tokens and a folder of GLUE with a few lines a task."""

import keras
import pytest

from keras_electra.tasks.text_classifier import ElectraTextClassifier
from keras_electra.tasks.text_classifier import (
    ElectraTextClassifierPreprocessor,
)
from tests import checks

GOOD, BAD = "the chef ate", "a meal. a meal."


@pytest.fixture(scope="session")
def preset(tmp_path_factory):
    """Folder of a preset with one layer of width 8."""
    folder = str(tmp_path_factory.mktemp("preset") / "tiny")
    keras.utils.set_random_seed(0)
    ElectraTextClassifier(
        checks.tiny_backbone(dropout=0.0),
        num_classes=2,
        preprocessor=ElectraTextClassifierPreprocessor(
            checks.tiny_tokenizer(), sequence_length=16
        ),
    ).save_to_preset(folder)
    return folder


@pytest.fixture(scope="session")
def glue(tmp_path_factory):
    """Folder of tasks: SST-2, STS-B and MNLI, easily learnt."""
    folder = tmp_path_factory.mktemp("glue")
    lines = {
        "SST-2/train": ["sentence\tlabel", *[f"{GOOD}\t1", f"{BAD}\t0"] * 8],
        "SST-2/dev": ["sentence\tlabel", f"{GOOD} \t1", f"{BAD} \t0"],
        "SST-2/test": ["index\tsentence", f"0\t{GOOD}"],
        "STS-B/train": [
            "index\tsentence1\tsentence2\tscore",
            *[f"0\t{GOOD}\t{GOOD}\t5.0", f"1\t{GOOD}\t{BAD}\t0.000"] * 2,
        ],
        "STS-B/dev": [
            "index\tsentence1\tsentence2\tscore",
            f"0\t{GOOD}\t{GOOD}\t5.0",
            f"1\t{GOOD}\t{BAD}\t1.250",
        ],
        "STS-B/test": ["index\tsentence1\tsentence2", f"0\t{GOOD}\t{BAD}"],
        "diagnostic/diagnostic": [
            "index\tsentence1\tsentence2",
            f"0\t{GOOD}\t{BAD}",
        ],
    }
    for split in ("train", "dev_matched", "dev_mismatched"):
        lines[f"MNLI/{split}"] = [
            "index\tsentence1\tsentence2\tgold_label",
            f"0\t{GOOD}\t{GOOD}\tentailment",
            f"1\t{GOOD}\t{BAD}\tneutral",
        ]
    for name, content in lines.items():
        path = folder / f"{name}.tsv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(content) + "\n", encoding="utf-8")
    return folder
