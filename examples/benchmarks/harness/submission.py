"""The files of answers that GLUE's server takes."""

import pathlib

import numpy as np


def write_submission(path, predictions, recipe):
    """Writes `index` and `prediction`, separated by a tab.

    Labels are written as the training files spell them; scores are moved to
    their range, cut at its ends, and have three decimals.

    Args:
        path: path. Its folder is made.
        predictions: array `(examples,)` of class numbers, or of scores from
            0 to 1.
        recipe: `GlueRecipe`.
    """
    if recipe.labels:
        answers = [recipe.labels[int(number)] for number in predictions]
    else:
        low, high = recipe.score_range
        scores = np.clip(low + (high - low) * predictions, low, high)
        answers = [f"{score:.3f}" for score in scores]
    lines = [f"{i}\t{answer}\n" for i, answer in enumerate(answers)]
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(["index\tprediction\n", *lines]), encoding="utf-8")
