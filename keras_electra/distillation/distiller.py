"""A small network that learns from what a larger one makes of texts.

The teacher is run while batches are made: it is no part of the model, of its
checkpoints and of its gradients.
"""

import math

import keras
import numpy as np
from keras import ops

import keras_electra.backend.replicas as replicas
from keras_electra.arguments import check_count
from keras_electra.arguments import check_number
from keras_electra.arguments import keyword_names
from keras_electra.arguments import known_keywords
from keras_electra.data import inputs
from keras_electra.data.rows import is_rows
from keras_electra.distillation import losses
from keras_electra.distillation import teacher as teaching
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.pretraining.fit import PretrainingFit
from keras_electra.pretraining.fit import check_ids
from keras_electra.pretraining.fit import reject_labels
from keras_electra.pretraining.pretrainer import ElectraPretrainer
from keras_electra.tasks.text_embedder import ElectraTextEmbedder
from keras_electra.training.fit import FitsExamples
from keras_electra.training.steps import StepMetrics

MOST_HEADS = 48  # of relations, by default: MiniLMv2's for a base teacher
NORMS = ("gradient_norm", "generator_gradient_norm")


class DistillationMetrics(StepMetrics):
    """A mean for each loss, and beside them all metrics of a pre-trainer."""

    def __init__(self, names, pretrainer=None):
        super().__init__(NORMS)
        self.losses = {n: keras.metrics.Mean(n, "float32") for n in names}
        self.pretraining = pretrainer and pretrainer.step_metrics
        others = (
            self.pretraining.all[: -len(self.gradients)] if pretrainer else []
        )
        self.all = [*self.losses.values(), *others, *self.gradients]


class Distiller(PretrainingFit, keras.Model):
    """Trains a student to say of texts what a teacher says of them.

    `fit` and `evaluate` take texts in any form, or rows if both encode alike.
    The student learns in place; the projections that the losses need where
    widths differ are dropped. The loss is the weighted sum of those below; a
    loss of weight 0 is not computed.

    Args:
        student: `ElectraBackbone`; or a pre-trainer or task of ours, whose
            backbone then learns.
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
            keys and values (MiniLMv2). Defaults to `0.0`.
        pretraining_weight: float. Of the loss of a student that is a
            pre-trainer, on the same texts. Defaults to `0.1`.
        layer: int. The student's layer that learns from the teacher, from 1.
            Defaults to an embedder's own, or else to the last.
        relation_heads: int. Parts of a width to take relations of; divides
            both. Defaults to the greatest divisor up to 48.
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
        student,
        teacher,
        preprocessor=None,
        vector_weight=1.0,
        hidden_weight=1.0,
        relation_weight=0.0,
        pretraining_weight=0.1,
        layer=None,
        relation_heads=None,
        cache=None,
        **kwargs,
    ):
        weights = {
            "vector_loss": vector_weight,
            "hidden_loss": hidden_weight,
            "relation_loss": relation_weight,
        }
        for name, weight in weights.items():
            check_number(name.replace("loss", "weight"), weight, at_least=0)
        check_number("pretraining_weight", pretraining_weight, at_least=0)
        backbone = getattr(student, "backbone", student)
        if not isinstance(backbone, ElectraBackbone):
            raise TypeError(
                "`student` must be an ElectraBackbone, or a pre-trainer or "
                f"task of this package. Received: {type(student).__name__}."
            )
        preprocessor = preprocessor or getattr(student, "preprocessor", None)
        needs = {
            "vectors": vector_weight,
            "states": hidden_weight,
            "relations": relation_weight,
        }
        names = [name for name, needed in needs.items() if needed]
        if preprocessor is None or not names:
            raise ValueError(
                "`preprocessor` must be given where `student` has none, such "
                "as ElectraPretrainerPreprocessor(tokenizer), and one of the "
                f"weights of losses. Received: {preprocessor}, {weights}."
            )
        teacher = teaching.Teacher(teacher, names, preprocessor, cache)

        # === Functional Model ===
        embedder = teacher.embedder
        pooling = embedder.pooling
        if isinstance(student, ElectraTextEmbedder):
            layer, pooling = layer or student.layer, student.pooling
        layer = layer or backbone.num_layers
        given = {"pooling": pooling, "normalize": embedder.normalize}
        own = ElectraTextEmbedder(backbone, layer=layer, **given)
        narrow, wide = backbone.hidden_dim, embedder.backbone.hidden_dim
        outputs = teaching.outputs(own, names, layer)
        for name in set(names) - {"relations"} if wide != narrow else ():
            # From zero: what starts too large is made small by making all
            # states alike, from which a student does not recover.
            projection = keras.layers.Dense(
                wide,
                kernel_initializer="zeros",
                dtype="float32",
                name=f"{name}_projection",
            )
            outputs[f"projected_{name}"] = projection(outputs[name])
        if relation_heads is None:
            shared = math.gcd(narrow, wide)
            divisors = [n for n in range(1, MOST_HEADS + 1) if shared % n == 0]
            relation_heads = divisors[-1]
        check_count("relation_heads", relation_heads)
        if narrow % relation_heads or wide % relation_heads:
            raise ValueError(
                f"`relation_heads` must divide both widths, {narrow} and "
                f"{wide}. Received: relation_heads={relation_heads}."
            )
        is_pretrained = isinstance(student, ElectraPretrainer)
        pretrainer = student if is_pretrained and pretraining_weight else None
        if pretrainer is not None:
            outputs |= pretrainer(backbone.input)
        super().__init__(backbone.input, outputs, **kwargs)

        # === Config ===
        self.backbone = backbone
        self.generator = getattr(pretrainer, "generator", None)
        self.disentangled = getattr(pretrainer, "disentangled", None)
        self.preprocessor = preprocessor
        self.student, self.pretrainer = student, pretrainer
        self.loss_weights = {n: w for n, w in weights.items() if w}
        self.pretraining_weight = pretraining_weight
        self.relation_heads = relation_heads
        self._teacher = teacher
        self.step_metrics = DistillationMetrics(self.loss_weights, pretrainer)
        self.compile()

    def check_inputs(self, x):
        if isinstance(x, tuple):
            raise TypeError("`x` must hold texts, not pairs: both as texts.")
        inputs.check_texts(x)

    def _stream(self, examples, size, order, steps, class_weight=None, *args):
        reject_labels(class_weight=class_weight)
        given = examples, size, order, steps, None, *args
        return FitsExamples._stream(self, *given)

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
        check_ids(x, self.backbone.vocabulary_size)
        y = self._teacher(x, texts)
        states = next((a for n, a in y.items() if n != "vectors"), None)
        if states is not None and self._teacher.by_words:
            weights = teaching.piece_weights(
                texts, self.preprocessor, states.shape[1]
            )
            # Not of words that the teacher's row did not reach.
            weights *= states.any(axis=-1, keepdims=True)
            y["piece_weights"] = weights
        return x, y, None

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The weighted sum of all losses, a float32 scalar."""
        # Variances are those of all texts: every replica has all of them.
        gathered = replicas.gathered
        y = {n: gathered(ops.cast(a, "float32")) for n, a in y.items()}
        for name, width in self._teacher.widths.items():
            # TensorFlow does not know the last axis.
            shape = (*ops.shape(y[name])[:-1], width)
            y[name] = ops.reshape(y[name], shape)
        pieces, mask = y.get("piece_weights"), gathered(x["padding_mask"])
        if pieces is not None:
            mask = ops.sum(pieces, axis=-1) > 0
        mask = ops.cast(mask, "float32")

        def learnt(name):
            value = y_pred.get(f"projected_{name}", y_pred[name])
            value = gathered(ops.cast(value, "float32"))
            is_of_words = name != "vectors" and pieces is not None
            return ops.matmul(pieces, value) if is_of_words else value

        loss, heads = 0.0, self.relation_heads
        for name, weight in self.loss_weights.items():
            if name == "vector_loss":
                pair = learnt("vectors")[:, None], y["vectors"][:, None]
                ones = ops.ones_like(mask[:, :1])
                value = losses.unexplained_variance(*pair, ones)
            elif name == "hidden_loss":
                pair = learnt("states"), y["states"]
                value = losses.unexplained_variance(*pair, mask)
            else:
                pair = learnt("relations"), y["relations"]
                value = losses.relation_loss(*pair, mask, heads)
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
            self.step_metrics.pretraining.update(judged, y_pred)
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
