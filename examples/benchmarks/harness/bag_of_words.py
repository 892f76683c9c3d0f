"""The simplest rival on tasks of GLUE: no network, no order of words.

Single texts: TF-IDF of words and pairs of words with a linear model. Pairs of
texts: how many words, and how much of their weight, both share, with boosted
trees. Both by scikit-learn, with settings fixed beforehand
or chosen on the training set.
"""

import numpy as np

from harness.files import BadRows
from harness.glue_data import read_glue
from harness.metrics import glue_metrics
from harness.recipes import glue_recipe


def bag_of_words(task, data, skip_bad_rows=False, limit=None):
    """Metrics of a bag of words on the development set of a task.

    Args:
        task: string, e.g. `"mrpc"`.
        data: path of the folder that holds the folders of the tasks.
        skip_bad_rows: bool. Whether to go on without rows that are malformed.
            Defaults to `False`.
        limit: int or `None`. Examples to learn from, from the front.

    Returns:
        dict from the names of the task's metrics to percent.
    """
    recipe = glue_recipe(task)
    folder = data / recipe.folder
    bad = BadRows(skip_bad_rows)
    train = read_glue(folder, recipe, "train", bad_rows=bad)
    dev = read_glue(folder, recipe, recipe.dev_splits[0], bad_rows=bad)
    bad.check()
    predict = fit(train.first(limit), is_class=bool(recipe.labels))
    return glue_metrics(recipe.metrics, dev.labels, predict(dev.texts))


def fit(train, is_class=True):
    """A function from texts, a tuple of columns, to classes or scores.

    Args:
        train: `Examples` with labels.
        is_class: bool. Whether labels are classes. Defaults to `True`.
    """
    fit_kind = _fit_single if len(train.texts) == 1 else _fit_pairs
    return fit_kind(train.texts, train.labels, is_class)


def similarity(data):
    """Spearman's correlation of TF-IDF cosines on STS-B, in percent.

    Args:
        data: path of the folder that holds the folders of the tasks. Weights
            of words are those of the training set, whose scores are not used.
    """
    recipe = glue_recipe("stsb")
    train, dev = (
        read_glue(data / recipe.folder, recipe, split)
        for split in ("train", "dev")
    )
    cosines = Overlap(train.texts)(dev.texts)[:, 0]
    return glue_metrics(["spearman"], dev.labels, cosines)["spearman"]


def mean_of_tasks(results):
    """Mean over tasks; two metrics of a task count half each."""
    means = [sum(of.values()) / len(of) for of in results.values()]
    return sum(means) / len(means)


def _tfidf(**settings):
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(sublinear_tf=True, **settings)


def _fit_single(texts, labels, is_class):
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline

    words = _tfidf(ngram_range=(1, 2), token_pattern=r"\S+")
    # The strength of the penalty is chosen on the training set.
    last = (
        LogisticRegressionCV(
            Cs=np.logspace(-1, 3, 9),
            cv=3,
            scoring="matthews_corrcoef",
            max_iter=1000,
            class_weight="balanced",
        )
        if is_class
        else RidgeCV()
    )
    model = make_pipeline(words, last).fit(texts[0], labels)
    return lambda texts: model.predict(texts[0])


def _fit_pairs(texts, labels, is_class):
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.ensemble import HistGradientBoostingRegressor

    trees = (
        HistGradientBoostingClassifier
        if is_class
        else HistGradientBoostingRegressor
    )
    overlap = Overlap(texts)
    model = trees(max_iter=100, learning_rate=0.05, random_state=0)
    model.fit(overlap(texts), labels)
    return lambda texts: model.predict(overlap(texts))


class Overlap:
    """Twelve numbers of a pair, with the weights of words of given texts."""

    def __init__(self, texts):
        everything = [text for column in texts for text in column]
        self.words = _tfidf(token_pattern=r"\w+").fit(everything)
        self.characters = _tfidf(analyzer="char_wb", ngram_range=(3, 5))
        self.characters.fit(everything)

    def __call__(self, texts):
        cosines = []
        for vectorizer in (self.words, self.characters):
            first, second = (vectorizer.transform(column) for column in texts)
            product = first.multiply(second).sum(axis=1)
            cosines.append(np.asarray(product).ravel())
        rest = [self._of(*pair) for pair in zip(*texts)]
        return np.column_stack([*cosines, rest])  # (pairs, 12)

    def _of(self, first, second):
        words = self.words.build_analyzer()
        first, second = words(first), words(second)
        one, other = set(first), set(second)
        pairs, others = set(zip(first, first[1:])), set(zip(second, second[1:]))
        shared = one & other
        return [
            len(shared),
            len(shared) / max(1, len(one)),
            len(shared) / max(1, len(other)),
            len(shared) / max(1, len(one | other)),
            self._weight(shared) / max(1e-9, self._weight(one)),
            self._weight(shared) / max(1e-9, self._weight(other)),
            len(pairs & others) / max(1, len(pairs | others)),
            len(first),
            len(second),
            len(first) - len(second),
        ]

    def _weight(self, words):
        places = self.words.vocabulary_
        return sum(self.words.idf_[places[w]] for w in words if w in places)
