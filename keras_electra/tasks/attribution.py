"""What words contribute to an output, and what tokens attend to.

B batch, L length, E embedding, D hidden.
"""

from typing import Any

import numpy as np
from keras import ops

from keras_electra.backend import gradients
from keras_electra.data.inputs import NAMES
from keras_electra.data.rows import make_rows

TOGETHER = 16  # points of the integral that are computed at a time


def integrated_gradients(function, x, baseline, steps=32):
    """Contributions `(L,)` to `function(x) - function(baseline)`.

    Mean gradient on the way from the baseline, times the way; with Gauss' and
    Legendre's points. `function` maps tensors `(B, L, E)` to `(B,)`; `x` and
    `baseline` are float32 arrays `(L, E)`.
    """
    points, weights = np.polynomial.legendre.leggauss(steps)
    mean, way = 0.0, x - baseline
    for i in range(0, steps, TOGETHER):
        shares = (points[i : i + TOGETHER, None, None] + 1) / 2
        slopes = gradients(function, np.float32(baseline + shares * way))
        mean += np.tensordot(weights[i : i + TOGETHER] / 2, slopes, axes=1)
    return (way * mean).sum(axis=-1)


def contributions(task, texts, row, target, method):
    """Tokens of an `Explanation` of the texts of a row; value and baseline."""
    tokenizer, network = task.preprocessor.tokenizer, task.backbone
    ids, segments = (row[name][0] for name in NAMES[:2])
    words, tokens, start = [], [[] for _ in texts], 1
    first = int((segments == 0).sum())
    for i, offsets in enumerate(tokenizer.encode_with_offsets(texts)[1]):
        end = (first, len(ids))[i] - 1
        for place, (begin, stop) in zip(range(start, end), offsets):
            piece = tokenizer.id_to_token(int(ids[place])).startswith("##")
            if piece and place > start:
                begin = tokens[i].pop()[0]
            else:
                words.append([])
            words[-1].append(place)
            tokens[i].append((begin, stop))
        start = first

    def odds(logits):
        """The calibrated logit of the label against the others together."""
        logits = task.calibrated(ops.cast(logits, "float32"))
        if not task.is_exclusive or task.activation != "linear":
            return logits[:, target]
        others = logits - 1e9 * ops.one_hot(target, task.num_classes)
        return logits[:, target] - ops.logsumexp(others, axis=-1)

    def function(x):
        x, _ = encode(network, x, ops.ones(ops.shape(x)[:2], "int32"))
        return odds(task.head_of(x))

    everything = sum(words, [])
    if method == "leave_out":
        gone = [[], everything, *words]
        rows = [np.delete(ids, places) for places in gone]
        firsts = [first - sum(p < first for p in places) for places in gone]
    else:
        rows, firsts = [ids, ids.copy()], [first, first]
        rows[1][everything] = tokenizer.mask_token_id
    rows = make_rows(rows, firsts, tokenizer.pad_token_id)
    logits = ops.convert_to_tensor(np.stack(task.predict_rows(rows)))
    value, baseline, *others = ops.convert_to_numpy(odds(logits)).tolist()
    if method == "leave_out":
        values = [value - other for other in others]
    else:
        x = [ops.convert_to_tensor(rows[name]) for name in NAMES[:2]]
        x = ops.convert_to_numpy(ops.cast(network.embeddings(*x), "float32"))
        values = integrated_gradients(function, *x)
        values = [float(values[places].sum()) for places in words]
    values = iter(values)
    tokens = [[(*span, next(values)) for span in some] for some in tokens]
    return tokens, value, baseline


def encode(network, x, padding_mask, read=lambda layer, x: None):
    """Vectors `(B, L, D)` of embeddings, and what `read` saw at each layer."""
    seen = []
    if network.embeddings_projection is not None:
        x = network.embeddings_projection(x)
    for layer in network.transformer_layers:
        seen.append(read(layer.attention, x))
        x = layer(x, padding_mask)
    return x, seen


def attention_by_head(task: Any, x: Any) -> tuple[Any, ...]:
    """`attention` of an `Explanation` of an example, columns."""
    ids, segments, mask = (task.preprocessor.rows(x)[n][:1] for n in NAMES)
    ids, segments, mask = (a[:, : mask.sum()] for a in (ids, segments, mask))
    name = task.preprocessor.tokenizer.id_to_token

    def weights(layer, x):
        width = x.shape[-1] // layer.num_heads
        x = ops.reshape(layer.query_key_value(x), (ids.size, 3, -1, width))
        query, key, _ = ops.unstack(ops.transpose(x, (1, 2, 0, 3)), 3)
        scores = ops.matmul(query * width**-0.5, ops.swapaxes(key, -1, -2))
        return ops.convert_to_numpy(ops.softmax(ops.cast(scores, "float32")))

    x = task.backbone.embeddings(*map(ops.convert_to_tensor, (ids, segments)))
    _, found = encode(task.backbone, x, ops.convert_to_tensor(mask), weights)
    return list(map(name, ids[0].tolist())), np.stack(found)


def read_one(task: Any, x: Any) -> Any:
    """Columns of one example."""
    x, is_one = task.read_inputs(x, "explain")
    if not is_one:
        raise TypeError("`explain` takes one string, or a tuple of two.")
    return x
