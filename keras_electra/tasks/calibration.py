"""Probabilities that can be trusted, and how much can be decided by them."""

import dataclasses
import math
import warnings

import numpy as np
from keras import ops

from keras_electra.arguments import check_number
from keras_electra.arguments import check_option
from keras_electra.tasks.explanation import Page
from keras_electra.tasks.labels import sigmoid
from keras_electra.tasks.labels import softmax

BINS = 15  # of confidence, equally wide, as in Guo et al. 2017
LEAST_SCALE = 0.01  # of a temperature: no order turns round
PICTURE = """<h3>Reliability</h3><p>{}</p>
<svg viewBox="-30 -10 350 350" width="400" fill="currentColor">{}
<path d="M0 0V300H300M0 300L300 0" fill="none" stroke="currentColor"/>
<text x="120" y="325">confidence</text>
<text x="-180" y="-10" transform="rotate(-90)">accuracy</text></svg>"""
BAR = """<rect x="{:.1f}" y="{:.1f}" width="12" height="{:.1f}" fill="#8064b4">
<title>{:.3f}: {:.3f} of {:,}</title></rect>"""


@dataclasses.dataclass(frozen=True)
class CoverageReport(Page):
    """How far probabilities can be trusted; `print` it, or `save` a page.

    A decision is a label of a text or word, whether a text has one of several
    labels, whether a token is replaced, or an answer that was given.

    Attributes:
        count, accuracy: int, float. Decisions, and the share of right ones.
        expected_calibration_error: float. Mean difference of probability and
            accuracy over 15 bins of probability (Guo et al. 2017).
        brier_score: float. Mean squared difference of probability and truth,
            of classes their sum.
        threshold: float. `abstain_below=threshold` keeps to the budget of
            errors and decides most; infinite if that is nothing.
        coverage, error: float. Share decided so, and of these wrong.
        bins: list of `(probability, accuracy, count)`, means of each bin.
    """

    count: int
    accuracy: float
    expected_calibration_error: float
    brier_score: float
    threshold: float
    coverage: float
    error: float
    bins: list
    title = "Reliability"

    def __str__(self):
        return (
            f"{self.count:,} decisions, accuracy {self.accuracy:.3f}, expected "
            f"calibration error {self.expected_calibration_error:.3f}, Brier "
            f"score {self.brier_score:.3f}; abstain_below={self.threshold:.4g} "
            f"decides {self.coverage:.1%}, wrong {self.error:.1%}"
        )

    def _repr_html_(self):
        bars = ""
        for sure, right, count in self.bins:
            x, y = 300 * sure - 6, 300 * right
            bars += BAR.format(x, 300 - y, y, sure, right, count)
        return PICTURE.format(self, bars)


class Calibrates:
    """Tasks that decide; mixed in before `ElectraTask`.

    `calibration`, an argument of theirs, is `None` or a dict: probabilities are
    softmax or sigmoid of `scale * logits + bias`, lists of one number or one a
    class.
    """

    calibration_methods = ("platt", "temperature")  # the default first

    @property
    def is_exclusive(self):
        """Whether one class is right, and probabilities are a softmax."""
        kind = getattr(self.label_encoder, "problem_type", None)
        return kind == "single_label"

    def calibrate(self, texts, labels=None, method="auto", batch_size=32):
        """Learns how sure it may be; sets and returns `calibration`.

        `predict` gives the same logits as before. `fit` drops what was learnt.

        Args:
            texts, labels: as of `fit`, in memory, but not those trained on:
                hundreds at least.
            method: string. `"temperature"`, the default where one class is
                right: one scale, and no decision changes. `"vector"`, for many
                classes and thousands of examples: scale and bias of each.
                `"platt"`, the default of tokens and of several labels: the
                same where each logit is judged by itself.
            batch_size: int. Rows at a time.
        """
        methods = self.calibration_methods
        methods = ("temperature", "vector") if self.is_exclusive else methods
        method = methods[0] if method == "auto" else method
        check_option("method", method, methods)
        found = self._fit_scale(*self._judge(texts, labels, batch_size), method)
        scale, bias = (np.ravel(values).tolist() for values in found)
        self.calibration = {"method": method, "scale": scale, "bias": bias}
        return self.calibration

    def coverage_report(
        self, texts, labels=None, error_budget=0.05, batch_size=32
    ):
        """A `CoverageReport`; `error_budget` is the share that may be wrong."""
        check_number("error_budget", error_budget, at_least=0, at_most=1)
        logits, targets = self._judge(texts, labels, batch_size)
        return report(*self._decide(logits, targets), error_budget)

    def calibrated(self, logits):
        """`scale * logits + bias`, of an array or a tensor."""
        if self.calibration is None:
            return logits
        scale, bias = (
            np.float32(self.calibration[n]) for n in ("scale", "bias")
        )
        if isinstance(logits, np.ndarray):
            return logits * scale + bias
        return ops.add(ops.multiply(logits, scale), bias)

    def probabilities(self, logits):
        """Calibrated probabilities, an array, of what the network gives."""
        logits = np.asarray(logits, "float32")
        if getattr(self, "activation", "linear") != "linear":
            return logits
        function = softmax if self.is_exclusive else sigmoid
        return function(self.calibrated(logits))

    def _begin_fit(self, *args):
        if self.calibration is not None:
            warnings.warn(
                "`fit` drops `calibration`: calibrate again after it."
            )
            self.calibration = None
        super()._begin_fit(*args)

    def _judge(self, x, y, batch_size):
        """Logits `(n, classes)`, float64, and targets of the same shape."""
        kind = getattr(self, "problem_type", None)
        activation = getattr(self, "activation", "linear")
        if kind == "regression" or activation != "linear":
            raise ValueError(
                "Logits of classes can be calibrated. Received: problem_type="
                f"{kind!r}, activation={activation!r}."
            )
        examples = self._read(x, y)
        self._check_examples(examples.x, examples.y)
        rows = self._memory_rows(examples)
        outputs = dict(self._predict(rows, batch_size))
        outputs = [np.float64(outputs[i]) for i in range(len(rows))]
        data = rows.take(np.arange(len(rows)), rows.width)
        _, targets, weights = self.finish_batch(*data)
        if self.token_labels:  # a decision is a token that has weight
            kept = [w[: len(o)] > 0 for w, o in zip(weights, outputs)]
            outputs = np.concatenate([o[k] for o, k in zip(outputs, kept)])
            kept = [t[: len(k)][k] for t, k in zip(targets, kept)]
            targets = np.concatenate(kept)
        logits = np.reshape(outputs, (len(targets), -1))
        if self.is_exclusive and targets.ndim == 1:
            targets = np.eye(logits.shape[1])[targets]
        return logits, np.float64(targets).reshape(logits.shape)

    def _fit_scale(self, logits, targets, method):
        return fit_scale(logits, targets, method, self.is_exclusive)

    def _decide(self, logits, targets):
        """Confidence, whether it is right, squared error of each decision."""
        p = self.probabilities(logits)
        squared = (p - targets) ** 2
        if self.is_exclusive:
            right = targets[np.arange(len(p)), p.argmax(-1)]
            return p.max(-1), right, squared.sum(-1)
        right = (p > 0.5) == (targets > 0.5)
        return np.maximum(p, 1 - p).ravel(), right.ravel(), squared.ravel()


def fit_scale(logits, targets, method, is_exclusive):
    """`scale` and `bias` of least cross-entropy, by Newton's method.

    They are drawn to 1 and 0 by as much as one example: where no decision is
    wrong there would be no solution.
    """
    count = logits.shape[1]
    start = np.repeat([1.0, 0.0], count)
    free = start[:, None] if method == "temperature" else np.eye(2 * count)
    at, way, least = np.zeros(free.shape[1]), 0.0, np.inf
    for _ in range(100):
        scale, bias = np.split(start + free @ (at - way), 2)
        z = scale * logits + bias
        total = (
            np.logaddexp.reduce(z, 1) if is_exclusive else np.logaddexp(0, z)
        )
        loss = total.sum() - (targets * z).sum() + ((at - way) ** 2).sum() / 2
        if loss > least:  # too far
            way = way / 2
            continue
        at, least = at - way, loss
        p = np.float64((softmax if is_exclusive else sigmoid)(z))
        rest, weights = p - targets, p if is_exclusive else p * (1 - p)
        first = np.concatenate([(rest * logits).sum(0), rest.sum(0)])
        parts = [np.diag((weights * logits**n).sum(0)) for n in (2, 1, 0)]
        second = np.block([parts[:2], parts[1:]])
        if is_exclusive:
            both = np.concatenate([p * logits, p], axis=1)
            second -= both.T @ both
        second = free.T @ second @ free + np.eye(len(at))
        way = np.linalg.solve(second, free.T @ first + at)
        if abs(way).max() < 1e-7:
            break
    if method == "temperature":
        return max(scale[0], LEAST_SCALE), 0.0
    return scale, bias


def report(confidence, right, squared, error_budget):
    """The `CoverageReport` of decisions, arrays with an entry for each."""
    count, bins = len(confidence), []
    places = np.minimum((confidence * BINS).astype(int), BINS - 1)
    for place in np.unique(places):
        means = [v[places == place].mean().item() for v in (confidence, right)]
        bins.append((*means, int((places == place).sum())))
    order = np.argsort(-confidence, kind="stable")
    falling, wrong = (
        np.append(confidence[order], 0),
        np.cumsum(1 - right[order]),
    )
    ends = np.flatnonzero(falling[:-1] > falling[1:])  # of those equally sure
    ends = ends[wrong[ends] <= error_budget * (ends + 1)]
    decided, threshold, error = 0, math.inf, 0.0
    if len(ends):  # between the last and the next, however they are rounded
        decided, threshold = int(ends[-1]) + 1, falling[ends[-1] :][:2].mean()
        error = wrong[ends[-1]] / decided
    return CoverageReport(
        count=count,
        accuracy=right.mean().item(),
        expected_calibration_error=sum(n * abs(p - a) for p, a, n in bins)
        / count,
        brier_score=squared.mean().item(),
        threshold=float(threshold),
        coverage=decided / count,
        error=float(error),
        bins=bins,
    )
