"""What tasks show of their decisions: in notebooks, terminals and pages.

A page is one file without scripts, and what it shows cannot load anything.
B batch, L length, E embedding, D hidden.
"""

import dataclasses
import html
import os
import pathlib
import re
import sys
from typing import Any

import numpy as np
from keras import ops

from keras_electra.backend import gradients
from keras_electra.data.inputs import NAMES
from keras_electra.data.rows import make_rows

# What acts on terminals, turns the text around it about or is no character.
UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
PAGE = """<!doctype html>
<html><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy"
content="default-src 'none'; style-src 'unsafe-inline'"><title>{}</title></head>
<body style="max-width:60em;margin:auto;padding:1em;font-family:sans-serif">
{}
</body></html>
"""
TEXT = (
    '<p dir="auto" style="white-space:pre-wrap;overflow-wrap:anywhere">{}</p>'
)
MARK = '<span title="{}" style="background:rgba{}">{}</span>'
COLOURS = (230, 97, 1), (94, 60, 153)  # of values from zero on, and below
SHOWN = 0.5  # share of the largest value from which plain text has numbers
TOGETHER = 16  # points of an integral that are computed at a time


def _safe(text):
    return UNSAFE.sub("\ufffd", text)


def escape(text: Any) -> Any:
    """The text as HTML, also within quotes."""
    return html.escape(_safe(text))


class Page:
    """What shows itself, by `title` and `_repr_html_`."""

    def save(self, path: object) -> None:
        """Writes one HTML file that needs no other; takes its path."""
        page = PAGE.format(escape(self.title), self._repr_html_())
        pathlib.Path(path).write_text(page, encoding="utf-8")


@dataclasses.dataclass(frozen=True)
class Explanation(Page):
    """Texts with a value for each word or word piece that the network has read.

    Notebooks show it as a picture, `print` as text, in colour on a terminal
    unless `NO_COLOR` is set; `save("page.html")` writes a page.

    Attributes:
        title: string. What was decided, or what the values are.
        texts: list of string.
        tokens: a list for each text of `(start, end, value)`: characters of
            the text, and a probability or a contribution.
        attention: if asked for `(tokens, weights)`, of the first row that was
            read: list of string, array `(layers, heads, from, to)`.
        value, baseline: float, `None` for probabilities. What is explained, and
            the same without words: contributions are of the difference.
    """

    title: str
    texts: list[str]
    tokens: list[list[tuple[int, int, float]]]
    attention: tuple[list[str], object] | None = None
    value: float | None = None
    baseline: float | None = None

    def _paint(self, escape, paint):
        """The texts, tokens as `paint(text, colour, share, number)` says."""
        values = [abs(t[2]) for tokens in self.tokens for t in tokens]
        kind, most = ".2f", 1.0
        if self.value is not None:
            kind, most = "+.2f", max(values, default=0) or 1.0
        for text, tokens in zip(self.texts, self.tokens):
            shown, at = "", 0
            for start, end, value in sorted(tokens):
                given = COLOURS[value < 0], abs(value) / most, f"{value:{kind}}"
                shown += escape(text[at:start])
                shown, at = shown + paint(escape(text[start:end]), *given), end
            yield shown + escape(text[at:])

    def __str__(self) -> str:
        in_colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

        def paint(text, colour, share, number):
            if in_colour:  # black on the colour, mixed with white
                mix = (f"{255 - share * (255 - c):.0f}" for c in colour)
                return f"\x1b[30;48;2;{';'.join(mix)}m{text}\x1b[0m"
            return f"[{text} {number}]" if share >= SHOWN else text

        return "\n".join([_safe(self.title), *self._paint(_safe, paint)])

    def _repr_html_(self):
        def paint(text, colour, share, number):
            colour = *colour, round(0.8 * share, 2)
            return MARK.format(f"{text} {number}", colour, text)

        body = [f"<h3>{escape(self.title)}</h3>"]
        body += map(TEXT.format, self._paint(escape, paint))
        tokens, layers = self.attention or ((), ())
        for number, heads in enumerate(layers, 1):
            body.append(f"<h4>Attention, layer {number}</h4>")
            body += [draw_attention(tokens, head) for head in heads]
        return "\n".join(body)


def draw_attention(tokens: Any, weights: Any) -> str:
    """SVG of a head, `(from, to)`: tokens twice, and lines to the right."""
    height, names, lines = 16 * len(tokens), "", ""
    for i, token in enumerate(escape(token[:12]) for token in tokens):
        y = 16 * i + 12
        names += f'<text x="90" y="{y}" text-anchor="end">{token}</text>'
        names += f'<text x="150" y="{y}">{token}</text>'
    for i, j in np.argwhere(weights > 0.05):  # the rest is hardly seen
        where = f'x1="94" y1="{16 * i + 8}" x2="146" y2="{16 * j + 8}"'
        lines += f'<line {where} opacity="{weights[i, j]:.2f}"/>'
    return (
        f'<svg viewBox="0 0 240 {height}" width="240" height="{height}" '
        f'font-size="12" fill="currentColor">{names}<g stroke-width="2" '
        f'stroke="rgb{COLOURS[1]}">{lines}</g></svg>'
    )


def read_one(task: Any, x: Any) -> tuple[Any, ...]:
    """Columns of one example, and a list of its texts."""
    x, is_one = task.read_inputs(x, "explain")
    if not is_one:
        raise TypeError("`explain` takes one string, or a tuple of two.")
    return x, [text for [text] in (x if isinstance(x, tuple) else (x,))]


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
        x, _ = _encode(network, x, ops.ones(ops.shape(x)[:2], "int32"))
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
    value, baseline, *values = ops.convert_to_numpy(odds(logits)).tolist()
    if method == "leave_out":
        values = [value - other for other in values]
    else:
        x = [ops.convert_to_tensor(rows[name]) for name in NAMES[:2]]
        x = ops.convert_to_numpy(ops.cast(network.embeddings(*x), "float32"))
        values = integrated_gradients(function, *x)
        values = [float(values[places].sum()) for places in words]
    values = iter(values)
    tokens = [[(*span, next(values)) for span in some] for some in tokens]
    return tokens, value, baseline


def _encode(network, x, padding_mask, read=lambda layer, x: None):
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
    _, found = _encode(task.backbone, x, ops.convert_to_tensor(mask), weights)
    return list(map(name, ids[0].tolist())), np.stack(found)
