"""GLUE's metrics and the chunk F1 of conlleval, in percent.

They come from scikit-learn, SciPy and seqeval. What a metric does not say
about itself is how good a guess is that looks at no text: `chance` says it.
"""

import numpy as np


def _accuracy(labels, predictions):
    from sklearn.metrics import accuracy_score

    return accuracy_score(labels, predictions)


def _f1(labels, predictions):
    from sklearn.metrics import f1_score

    return f1_score(labels, predictions, pos_label=1, zero_division=0)


def _matthews(labels, predictions):
    from sklearn.metrics import matthews_corrcoef

    return matthews_corrcoef(labels, predictions)


def _pearson(labels, predictions):
    from scipy.stats import pearsonr

    return _correlation(pearsonr, labels, predictions)


def _spearman(labels, predictions):
    from scipy.stats import spearmanr

    return _correlation(spearmanr, labels, predictions)


def _correlation(function, labels, predictions):
    # Of a constant it is not defined; it says as much as no correlation.
    if np.ptp(predictions) == 0 or np.ptp(labels) == 0:
        return 0.0
    return function(labels, predictions).statistic


GLUE_METRICS = {
    "accuracy": _accuracy,
    "f1": _f1,
    "matthews": _matthews,
    "pearson": _pearson,
    "spearman": _spearman,
}


def glue_metrics(names, labels, predictions):
    """Metrics of a task of GLUE.

    Args:
        names: tuple of names in `GLUE_METRICS`.
        labels: array `(examples,)` of class numbers or scores.
        predictions: array `(examples,)` of the same kind.

    Returns:
        dict from name to percent.

    Raises:
        ValueError: when the lengths differ, or a prediction is not finite.
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.shape != predictions.shape:
        raise ValueError(
            "`labels` and `predictions` must be as long as each other. "
            f"Received: {labels.shape} and {predictions.shape}."
        )
    if not np.all(np.isfinite(predictions)):
        raise ValueError(
            "`predictions` must be finite numbers. Received NaN or infinity: "
            "the training has diverged; lower the learning rate."
        )
    return {
        name: 100 * float(GLUE_METRICS[name](labels, predictions))
        for name in names
    }


def chance(name, labels):
    """The best a constant prediction reaches in a metric.

    Args:
        name: string, a name in `GLUE_METRICS`.
        labels: array `(examples,)` of class numbers or scores.

    Returns:
        float, percent: the share of the most frequent class for accuracy,
        0 for correlations.
    """
    labels = np.asarray(labels)
    if name not in ("accuracy", "f1"):
        return 0.0
    constants = [np.full(labels.shape, value) for value in np.unique(labels)]
    return max(
        100 * float(GLUE_METRICS[name](labels, constant))
        for constant in constants
    )


def chunk_metrics(labels, predictions):
    """Precision, recall and F1 of chunks as `conlleval` counts them.

    A chunk counts if its type and both ends are right. seqeval's default
    mode has conlleval's rules for what begins and ends a chunk: an `I-` after
    another type or after `O` begins one.

    Args:
        labels: list of lists of strings, a label a word, such as `B-NP`.
        predictions: the same, of the same lengths.

    Returns:
        dict from `precision`, `recall`, `f1` and `accuracy` (of words) to
        percent.

    Raises:
        ValueError: when the lengths differ.
    """
    from seqeval.metrics import sequence_labeling

    if [len(row) for row in labels] != [len(row) for row in predictions]:
        raise ValueError(
            "`labels` and `predictions` must have as many words as each "
            "other in every sentence. Received different lengths."
        )
    labels = [list(row) for row in labels]
    predictions = [list(row) for row in predictions]
    functions = {
        "f1": sequence_labeling.f1_score,
        "precision": sequence_labeling.precision_score,
        "recall": sequence_labeling.recall_score,
        "accuracy": sequence_labeling.accuracy_score,
    }
    return {
        name: 100 * float(function(labels, predictions))
        for name, function in functions.items()
    }
