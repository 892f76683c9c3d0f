"""A small network that learns from what a larger one makes of texts.

The teacher is run while batches are made: it is no part of the model, of its
checkpoints and of its gradients. Shapes: B texts, W words or tokens, D width.
"""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_electra.arguments import check_number
from keras_electra.arguments import keyword_names
from keras_electra.arguments import known_keywords
from keras_electra.backend import replicas
from keras_electra.data import inputs
from keras_electra.data.rows import is_rows
from keras_electra.distillation import teacher as teaching
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.pretraining.fit import PretrainingFit
from keras_electra.pretraining.losses import NORMS
from keras_electra.pretraining.pretrainer import ElectraPretrainer
from keras_electra.tasks.text_embedder import ElectraTextEmbedder
from keras_electra.training.fit import FitsExamples
from keras_electra.training.steps import StepMetrics

# What a teacher says, and the name of the loss and the weight of it.
LOSSES = {"vectors": "vector", "states": "hidden", "relations": "relation"}
MOST_HEADS = 48  # of relations: MiniLMv2's for a base teacher
MASKED_SCORE = -10000.0  # is added to the score of what is not a word


def unexplained_variance(student: Any, teacher: Any, mask: Any) -> Any:
    """The share of the variance of states `(B, W, D)` that is not explained.

    A mean over the features, each over its variance in the batch: 0 for the
    teacher's states, whatever is added, 1 for nothing. That of all vectors is
    left out: to learn it first makes states alike, for hundreds of steps.
    `mask`, `(B, W)`, is 1 for a word.
    """
    mask = mask[:, :, None]
    count = ops.maximum(ops.sum(mask), 1.0)

    def mean(x):
        return ops.sum(x * mask, axis=(0, 1), keepdims=True) / count

    student, teacher = student - mean(student), teacher - mean(teacher)
    variance = mean(ops.square(teacher))
    error = mean(ops.square(student - teacher))
    least = 0.01 * ops.mean(variance) + 1e-6  # some are nearly constant
    return ops.mean(error / ops.maximum(variance, least))


def relation_loss(student: Any, teacher: Any, mask: Any, heads: Any) -> Any:
    """Divergence of relations of queries, of keys and of values `(B, W, 3D)`.

    A relation is a softmax over the scaled products of a word with all words,
    in `heads` parts of the width, and the mean over kinds, heads and words is
    taken (Wang et al., MiniLMv2, Findings of ACL 2021, equations 4 to 7).
    """
    rows, words = ops.shape(mask)

    def relations(x):
        part = x.shape[-1] // (3 * heads)
        x = ops.reshape(x, (rows, words, 3 * heads, part))
        x = ops.transpose(x, (0, 2, 1, 3))  # (B, 3R, W, D / R), R heads
        scores = ops.matmul(x, ops.swapaxes(x, -1, -2)) * part**-0.5
        scores = scores + MASKED_SCORE * (1.0 - mask)[:, None, None, :]
        return ops.log_softmax(scores, axis=-1)

    teacher, student = relations(teacher), relations(student)
    each = ops.sum(ops.exp(teacher) * (teacher - student), axis=-1)
    each = ops.mean(each, axis=1) * mask  # over kinds and heads
    return ops.sum(each) / ops.maximum(ops.sum(mask), 1.0)


class DistillationMetrics(StepMetrics):
    """A mean for each loss, and beside them all metrics of a pre-trainer."""

    def __init__(self, names: Any, pretrainer: Any = None):
        super().__init__(NORMS)
        mean = keras.metrics.Mean
        self.losses = {n: mean(f"{LOSSES[n]}_loss", "float32") for n in names}
        others = pretrainer.step_metrics.own if pretrainer else []
        self.all = [*self.losses.values(), *others, *self.gradients]


class Distiller(PretrainingFit, keras.Model):
    """Trains a student to say of texts what a teacher says of them.

    `fit` and `evaluate` take texts in any form, or rows if both encode alike.
    The student learns in place; the projections that the losses need where
    widths differ are dropped. The loss is the weighted sum of those below; a
    loss of weight 0 is not computed.

    Args:
        student: `ElectraBackbone`; or a pre-trainer or task of ours, whose
            backbone then learns, up to its last layer or an embedder's own.
        teacher: a model of ours; or the folder or name of a checkpoint that
            `from_preset` opens: a preset, BERT, ELECTRA, sentence-transformers.
            Such a file is run in half precision where that is fast. Its last
            layer teaches; its vectors are pooled and normalized as
            `ElectraTextEmbedder` does, for sentence-transformers as they say.
        preprocessor: the student's, by default that of `student`. Of two
            tokenizers the means over the pieces of each word are compared.
        vector_weight, hidden_weight: floats. Of the share of the variance of
            vectors of texts, and of hidden states, that the student does not
            explain. Default to `1.0`.
        relation_weight: float. Of the divergence of relations of queries,
            keys and values (MiniLMv2), in as many heads up to 48 as divide
            both widths. Defaults to `0.0`.
        pretraining_weight: float. Of the loss of a student that is a
            pre-trainer, on the same texts. Defaults to `0.1`.
        cache: str, path or `None`. Folder where outputs of the teacher are
            kept by text, in float16, to be read and not computed again.
        name: string or `None`.

    It is called on rows, and returns a dict: `vectors`, `states`, `relations`,
    as asked for, and what a pre-trainer returns.
    """

    # What the teacher says has axes of words, which vary.
    token_labels = True

    @known_keywords("name")
    def __init__(
        self,
        student: keras.Model,
        teacher: object,
        preprocessor: keras.Layer | None = None,
        vector_weight: float = 1.0,
        hidden_weight: float = 1.0,
        relation_weight: float = 0.0,
        pretraining_weight: float = 0.1,
        cache: object = None,
        **kwargs: object,
    ) -> None:
        weights = vector_weight, hidden_weight, relation_weight
        checked = zip(
            (*LOSSES.values(), "pretraining"), (*weights, pretraining_weight)
        )
        for name, weight in checked:
            check_number(f"{name}_weight", weight, at_least=0)
        weights = dict(zip(LOSSES, weights))
        backbone = getattr(student, "backbone", student)
        if not isinstance(backbone, ElectraBackbone):
            raise TypeError(
                "`student` must be an ElectraBackbone, or a pre-trainer or "
                f"task of this package. Received: {type(student).__name__}."
            )
        preprocessor = preprocessor or getattr(student, "preprocessor", None)
        loss_weights = {n: weight for n, weight in weights.items() if weight}
        if preprocessor is None or not loss_weights:
            raise ValueError(
                "`preprocessor` must be given where `student` has none, such "
                "as ElectraPretrainerPreprocessor(tokenizer), and one of the "
                f"weights of losses. Received: {preprocessor}, {weights}."
            )
        teacher = teaching.Teacher(teacher, loss_weights, preprocessor, cache)

        # === Functional Model ===
        embedder = teacher.embedder
        layer = getattr(student, "layer", backbone.num_layers)
        pooling = getattr(student, "pooling", embedder.pooling)
        given = {"pooling": pooling, "normalize": embedder.normalize}
        own = ElectraTextEmbedder(backbone, layer=layer, **given)
        narrow, wide = backbone.hidden_dim, embedder.backbone.hidden_dim
        outputs = teaching.outputs(own, loss_weights, layer)
        for name in [n for n in outputs if n != "relations" and wide != narrow]:
            # From zero: what starts too large is made small by making all
            # states alike, from which a student does not recover.
            how = {"dtype": "float32", "name": f"{name}_projection"}
            project = keras.layers.Dense(
                wide, kernel_initializer="zeros", **how
            )
            outputs[f"projected_{name}"] = project(outputs[name])
        is_pretrained = isinstance(student, ElectraPretrainer)
        pretrainer = student if is_pretrained and pretraining_weight else None
        if pretrainer is not None:
            outputs |= pretrainer(backbone.input)
        super().__init__(backbone.input, outputs, **kwargs)

        # === Config ===
        self.backbone, self.preprocessor = backbone, preprocessor
        if "vectors" in loss_weights:  # for `ElectraTextEmbedder`
            backbone.vector_layer = layer
        self.disentangled: Any = getattr(pretrainer, "disentangled", None)
        self.student, self.pretrainer = student, pretrainer
        self.generator = getattr(pretrainer, "generator", None)
        self.loss_weights = loss_weights
        self.pretraining_weight = pretraining_weight
        divisors = range(1, MOST_HEADS + 1)
        self.relation_heads = max(math.gcd(narrow, wide, n) for n in divisors)
        self._teacher = teacher
        self.step_metrics = DistillationMetrics(loss_weights, pretrainer)
        self.compile()

    # Also rows that are stored go by `finish_batch`, which asks the teacher.
    _stream = FitsExamples._stream

    def check_inputs(self, x: object) -> None:
        if isinstance(x, tuple):
            raise TypeError("`x` must hold texts, not pairs: both as texts.")
        inputs.check_texts(x)

    def _pack(self, x, y=None, sample_weight=None):
        rows, _, _ = super()._pack(x, y, sample_weight)
        if not is_rows(x):
            rows["texts"] = np.array([*x, None], object)[:-1]
        elif self._teacher.by_words:
            raise ValueError(
                "`x` must hold texts, not rows: the teacher has a tokenizer "
                "of its own."
            )
        return rows, None, None

    def finish_batch(self, x, y=None, sample_weight=None, training=False):
        """Rows, and what the teacher says of them."""
        x = dict(x)
        texts = x.pop("texts", None)
        y = self._teacher(x, texts)
        states = next((a for n, a in y.items() if n != "vectors"), None)
        if states is not None and self._teacher.by_words:
            given = texts, self.preprocessor, states.shape[1]
            # Not of words that the teacher's row did not reach.
            reached = states.any(axis=-1, keepdims=True)
            y["piece_weights"] = teaching.piece_weights(*given) * reached
        return x, y, None

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The weighted sum of all losses, a float32 scalar."""

        def gathered(array):
            # Variances are those of all texts: every replica has all of them.
            return replicas.gathered(ops.cast(array, "float32"))

        loss, mask = 0.0, gathered(x["padding_mask"])
        is_text = mask[:, :1]  # rows may fill up the batch of processes
        pieces = y.get("piece_weights")
        if pieces is not None:
            pieces = gathered(pieces)
            mask = ops.cast(ops.sum(pieces, axis=-1) > 0, "float32")
        for name, weight in self.loss_weights.items():
            # TensorFlow does not know the last axis.
            shape = *ops.shape(y[name])[:-1], self._teacher.widths[name]
            teacher = gathered(ops.reshape(y[name], shape))
            student = gathered(y_pred.get(f"projected_{name}", y_pred[name]))
            if name == "vectors":  # as of texts of one word
                given = student[:, None], teacher[:, None], is_text
            elif pieces is not None:
                given = ops.matmul(pieces, student), teacher, mask
            else:
                given = student, teacher, mask
            if name == "relations":
                value = relation_loss(*given, self.relation_heads)
            else:
                value = unexplained_variance(*given)
            self.step_metrics.losses[name].update_state(value)
            loss += weight * value
        loss = loss / replicas.count()  # a share of it, as in pre-training
        loss = loss if training else replicas.total(loss)
        if self.pretrainer is not None:
            loss += self.pretraining_weight * self.pretrainer.compute_loss(
                x, None, y_pred, None, training
            )
        return loss

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        if self.pretrainer is not None:
            judged = self.pretrainer.judged(x, y_pred)
            self.pretrainer.step_metrics.update(judged, y_pred)
        return self.get_metrics_result()


@known_keywords(Distiller.__init__, FitsExamples.fit)
def distil(student, teacher, texts, optimizer="auto", **kwargs):
    """Trains a student on what a teacher says of texts, in one call.

    Args:
        student, teacher: as of `keras_electra.Distiller`, which does the work.
        texts: what its `fit` takes: a list of strings, a column, a stream.
        optimizer: `keras.optimizers.Optimizer`, by default as in pre-training.
        **kwargs: of `Distiller`, such as `hidden_weight` or `cache`, and of
            `fit`, such as `batch_size`, `epochs`, `validation_data` and
            `callbacks` with a `ResumableCheckpoint`.

    The student learns in place. Returns the `keras.callbacks.History`.
    """
    names = keyword_names(Distiller.__init__)
    own = {name: kwargs.pop(name) for name in names if name in kwargs}
    distiller = Distiller(student, teacher, **own)
    distiller.compile(optimizer)
    return distiller.fit(texts, **kwargs)
