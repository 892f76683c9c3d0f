"""Probabilities that can be trusted, and how much can be decided by them."""

import dataclasses
import math
import warnings
from typing import Any

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
    """How far decisions can be trusted: labels, tokens or best answers.

    Attributes:
        count, accuracy: int, float. Decisions, and the share of right ones.
        expected_calibration_error: float. Mean difference of probability and
            accuracy over 15 bins of probability (Guo et al. 2017).
        error_by_chance: float. What that would be of as few decisions if every
            probability were true: no method comes lower.
        brier_score: float. Mean squared difference of probability and truth,
            of classes their sum.
        threshold: float. `abstain_below=threshold` decides most within the
            budget of errors; infinite if that is nothing.
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
    bins: list[tuple[float, float, int]]
    title = "Reliability"

    @property
    def error_by_chance(self) -> float:
        """Of binomial shares, as if these were normal."""
        spreads = [n * p * (1 - p) for p, _, n in self.bins]
        return sum(math.sqrt(2 / math.pi * s) for s in spreads) / self.count

    def __str__(self) -> str:
        return (
            f"{self.count:,} decisions, accuracy {self.accuracy:.3f}, expected "
            f"calibration error {self.expected_calibration_error:.3f} (by "
            f"chance {self.error_by_chance:.3f}), Brier score "
            f"{self.brier_score:.3f}; abstain_below={self.threshold:.4g} "
            f"decides {self.coverage:.1%}, wrong {self.error:.1%}"
        )

    def _repr_html_(self):
        bars = ""
        for sure, right, count in self.bins:
            x, y = 300 * sure - 6, 300 * right
            bars += BAR.format(x, 300 - y, y, sure, right, count)
        return PICTURE.format(self, bars)


class Calibrates:
    """Tasks that decide, by softmax or sigmoid of `scale * logits + bias`.

    These, lists of one number or of one a class, are in `calibration`, a dict
    or `None` and an argument of all. Mixed in before `ElectraTask`.
    """

    calibration_methods: Any = ("platt", "temperature")  # the default first

    @property
    def is_exclusive(self) -> bool:
        """Whether one class is right, and probabilities are a softmax."""
        return getattr(self.label_encoder, "problem_type", 0) == "single_label"

    def calibrate(self, texts, labels=None, method="auto", batch_size=32):
        """Learns how sure it may be; sets and returns `calibration`.

        `predict` gives the same logits as before. `fit` drops what was learnt.

        Args:
            texts, labels: as of `fit`, in memory: hundreds, not trained on.
            method: string. `"temperature"`, the default where one class is
                right: one scale, no decision changes. `"vector"`, for many
                classes and thousands of examples: scale and bias of each.
                `"platt"`, the default of tokens and of several labels: the
                same, of logits that are judged apart.
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
        decisions = self._decide(*self._judge(texts, labels, batch_size))
        return report(*decisions, error_budget)

    def calibrated(self, logits: object) -> np.ndarray:
        """`scale * logits + bias`, a tensor, or the logits as they are."""
        if self.calibration is None:
            return logits
        logits = ops.multiply(logits, self.calibration["scale"])
        return ops.add(logits, self.calibration["bias"])

    def probabilities(self, logits: object) -> np.ndarray:
        """Calibrated probabilities, an array, of what the network gives."""
        logits = np.asarray(logits, "float32")
        if getattr(self, "activation", "linear") != "linear":
            return logits
        function = softmax if self.is_exclusive else sigmoid
        return function(ops.convert_to_numpy(self.calibrated(logits)))

    def _begin_fit(self, *args):
        if self.calibration is not None:
            warnings.warn("`fit` drops `calibration`: calibrate again.")
            self.calibration: Any = None
        super()._begin_fit(*args)

    def _judge(self, x, y, batch_size):
        """Logits `(n, classes)`, float64, and targets of the same shape."""
        names = "problem_type", "activation"
        kind, activation = (getattr(self, name, None) for name in names)
        if kind == "regression" or activation not in (None, "linear"):
            raise ValueError(
                "Logits of classes can be calibrated. Received: problem_type="
                f"{kind!r}, activation={activation!r}."
            )
        x, y, _ = examples = self._read(x, y)
        self._check_examples(x, y)
        rows = self._memory_rows(examples)
        data = rows.take(np.arange(len(rows)), rows.width)
        _, targets, weights = self.finish_batch(*data)
        logits = np.float64(self.predict(x, batch_size, verbose=0))
        if self.token_labels:  # a decision is a token that has weight
            kept = weights > 0
            logits, targets = logits[:, : rows.width][kept], targets[kept]
        logits = logits.reshape(len(targets), -1)
        if self.is_exclusive and targets.ndim == 1:
            targets = np.eye(logits.shape[1])[targets]
        return logits, np.float64(targets).reshape(logits.shape)

    def _fit_scale(self, logits, targets, method):
        """`scale` and `bias` of least cross-entropy, by Newton's method.

        They are drawn to 1 and 0 by as much as one example: where no decision
        is wrong there would be no solution.
        """
        count = logits.shape[1]
        start = np.repeat([1.0, 0.0], count)
        free = start[:, None] if method == "temperature" else np.eye(2 * count)
        at, way, least = np.zeros(free.shape[1]), 0.0, np.inf
        for _ in range(100):
            scale, bias = np.split(start + free @ (at - way), 2)
            z = scale * logits + bias
            total = np.logaddexp(0, z)
            if self.is_exclusive:
                total = np.logaddexp.reduce(z, axis=1, keepdims=True)
            loss = total.sum() - (targets * z).sum()
            loss += ((at - way) ** 2).sum() / 2
            if loss > least:  # too far
                way = way / 2
                continue
            at, least, p = at - way, loss, np.exp(z - total)
            rest = p - targets
            weights = p if self.is_exclusive else p * (1 - p)
            first = np.concatenate([(rest * logits).sum(0), rest.sum(0)])
            parts = [np.diag((weights * logits**n).sum(0)) for n in (2, 1, 0)]
            second = np.block([parts[:2], parts[1:]])
            if self.is_exclusive:
                both = np.concatenate([p * logits, p], axis=1)
                second -= both.T @ both
            second = free.T @ second @ free + np.eye(len(at))
            way = np.linalg.solve(second, free.T @ first + at)
            if abs(way).max() < 1e-7:
                break
        if method == "temperature":
            return max(scale[0], LEAST_SCALE), 0.0
        return scale, bias

    def _decide(self, logits, targets):
        """Confidence, whether it is right, squared error of each decision."""
        p = self.probabilities(logits)
        squared = (p - targets) ** 2
        if self.is_exclusive:
            right = targets[np.arange(len(p)), p.argmax(-1)]
            return p.max(-1), right, squared.sum(-1)
        right = (p > 0.5) == (targets > 0.5)
        return np.maximum(p, 1 - p).ravel(), right.ravel(), squared.ravel()


def report(confidence, right, squared, error_budget):
    """The `CoverageReport` of decisions, arrays with an entry for each."""
    count, bins = len(confidence), []
    places = np.minimum((confidence * BINS).astype(int), BINS - 1)
    for place in np.unique(places):
        means = [v[places == place].mean().item() for v in (confidence, right)]
        bins.append((*means, int((places == place).sum())))
    order = np.argsort(-confidence, kind="stable")
    sure, wrong = np.append(confidence[order], 0), np.cumsum(1 - right[order])
    may_end = wrong <= error_budget * np.arange(1, count + 1)
    may_end &= sure[:-1] > sure[1:]  # equally sure ones stay together
    decided = int(np.flatnonzero(may_end).max(initial=-1)) + 1
    return CoverageReport(
        count,
        right.mean().item(),
        sum(n * abs(p - a) for p, a, n in bins) / count,
        squared.mean().item(),
        # Between the last and the next, however they are rounded.
        sure[decided - 1 :][:2].mean().item() if decided else math.inf,
        decided / count,
        float(wrong[decided - 1]) / decided if decided else 0.0,
        bins,
    )
