"""Every task of the harnesses in one table: data, metrics, and training.

Epochs, lengths and both orders of a pair are the original program's
(google-research/electra, `configure_finetuning.py:59-80, 134-146` and
`finetune/classification/classification_tasks.py:325-439`), the order of the
labels, too. WNLI and AX, which it lacks, are GLUE's; AX has no data of its
own to train on and takes MNLI's. Rates by size and layer are in
`training/finetuning.py`.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class TestSet:
    """A set without labels, and the file that GLUE's server takes for it.

    Attributes:
        folder: string, below the folder of all tasks.
        split: string, name of the file without its ending.
        submission: string, name of the file for the server.
    """

    folder: str
    split: str
    submission: str


@dataclasses.dataclass(frozen=True)
class GlueRecipe:
    """A task of GLUE.

    Attributes:
        name: string.
        folder: string, below the folder of all tasks.
        columns: tuple of names: of the text, or the two texts, and the label.
        metrics: tuple of names in `metrics.GLUE_METRICS`.
        labels: tuple of strings in the order of the classes, or `None` for a
            score.
        score_range: tuple of two floats, of a score.
        test_sets: tuple of `TestSet`.
        dev_splits: tuple of strings.
        epochs: int.
        both_orders: bool. Whether to train on each pair in both orders.
        positions: dict from a column to its position in files without a
            first line of names.
        sequence_length: int, in tokens.
        batch_size: int, in examples.
    """

    name: str
    folder: str
    columns: tuple
    metrics: tuple
    labels: tuple | None
    test_sets: tuple
    score_range: tuple | None = None
    dev_splits: tuple = ("dev",)
    epochs: int = 3
    both_orders: bool = False
    positions: dict | None = None
    sequence_length: int = 128
    batch_size: int = 32

    @property
    def text_columns(self):
        """Names of the columns of the text or the two texts."""
        return self.columns[:-1]


BINARY = ("0", "1")
SENTENCES = ("sentence1", "sentence2")


def _tests(folder):
    return (TestSet(folder, "test", f"{folder}.tsv"),)


AX = TestSet("diagnostic", "diagnostic", "AX.tsv")

_RECIPES = (
    GlueRecipe(
        "cola",
        "CoLA",
        ("sentence", "label"),
        ("matthews",),
        BINARY,
        _tests("CoLA"),
        positions={"sentence": 3, "label": 1},
    ),
    GlueRecipe(
        "sst2",
        "SST-2",
        ("sentence", "label"),
        ("accuracy",),
        BINARY,
        _tests("SST-2"),
    ),
    GlueRecipe(
        "mrpc",
        "MRPC",
        ("#1 String", "#2 String", "Quality"),
        ("accuracy", "f1"),
        BINARY,
        _tests("MRPC"),
        both_orders=True,
    ),
    GlueRecipe(
        "stsb",
        "STS-B",
        (*SENTENCES, "score"),
        ("pearson", "spearman"),
        None,
        _tests("STS-B"),
        score_range=(0.0, 5.0),
        epochs=10,
        both_orders=True,
    ),
    GlueRecipe(
        "qqp",
        "QQP",
        ("question1", "question2", "is_duplicate"),
        ("accuracy", "f1"),
        BINARY,
        _tests("QQP"),
    ),
    GlueRecipe(
        "mnli",
        "MNLI",
        (*SENTENCES, "gold_label"),
        ("accuracy",),
        ("contradiction", "entailment", "neutral"),
        (
            TestSet("MNLI", "test_matched", "MNLI-m.tsv"),
            TestSet("MNLI", "test_mismatched", "MNLI-mm.tsv"),
            AX,
        ),
        dev_splits=("dev_matched", "dev_mismatched"),
    ),
    GlueRecipe(
        "qnli",
        "QNLI",
        ("question", "sentence", "label"),
        ("accuracy",),
        ("entailment", "not_entailment"),
        _tests("QNLI"),
    ),
    GlueRecipe(
        "rte",
        "RTE",
        (*SENTENCES, "label"),
        ("accuracy",),
        ("entailment", "not_entailment"),
        _tests("RTE"),
        epochs=10,
    ),
    GlueRecipe(
        "wnli",
        "WNLI",
        (*SENTENCES, "label"),
        ("accuracy",),
        BINARY,
        _tests("WNLI"),
    ),
)
GLUE = {recipe.name: recipe for recipe in _RECIPES}
GLUE["ax"] = dataclasses.replace(GLUE["mnli"], name="ax", test_sets=(AX,))


@dataclasses.dataclass(frozen=True)
class RunRecipe:
    """Length of the training of a task that is not GLUE's.

    Attributes:
        epochs: int.
        sequence_length: int, in tokens.
        batch_size: int, in rows.
    """

    epochs: int
    sequence_length: int
    batch_size: int = 32


# Original `configure_finetuning.py:138-144`.
TAGGING = RunRecipe(epochs=3, sequence_length=256)
QUESTION_ANSWERING = RunRecipe(epochs=2, sequence_length=512)


def glue_recipe(name):
    """The recipe of a task of GLUE.

    Args:
        name: string, e.g. `"mrpc"`.

    Returns:
        A `GlueRecipe`.

    Raises:
        ValueError: there is no such task.
    """
    if name not in GLUE:
        raise ValueError(
            f"Unknown task {name!r}. Expected one of {', '.join(GLUE)}; "
            "files of your own labels and texts go straight to "
            "`ElectraTextClassifier.fit`."
        )
    return GLUE[name]
