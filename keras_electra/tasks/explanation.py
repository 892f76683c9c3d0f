"""What tasks show of their decisions: in notebooks, terminals and pages.

A page is one file without scripts, and what it shows cannot load anything.
"""

import dataclasses
import html
import os
import pathlib
import re
import sys
from typing import Any

import numpy as np

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


def escape(text: Any) -> Any:
    """The text as HTML, also within quotes."""
    return html.escape(UNSAFE.sub("\ufffd", text))


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
        most = 1.0 if self.value is None else max(values, default=0) or 1.0
        for text, tokens in zip(self.texts, self.tokens):
            shown, at = "", 0
            for start, end, value in sorted(tokens):
                number = f"{value:{'.2f' if self.value is None else '+.2f'}}"
                given = COLOURS[value < 0], abs(value) / most, number
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

        texts = self._paint(lambda text: UNSAFE.sub("\ufffd", text), paint)
        return "\n".join([UNSAFE.sub("\ufffd", self.title), *texts])

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
