"""What a build of examples did, in numbers."""

import dataclasses

# More unknown tokens than this is a sign of a wrong vocabulary.
MANY_UNKNOWN = 0.02


@dataclasses.dataclass(frozen=True)
class BuildReport:
    """Counts of a finished build; `print` shows them as a table.

    Attributes:
        output_dir: str. Where the examples are.
        documents: int. Documents read, held-out ones included.
        validation_documents: int. Documents held out.
        tokens: int. Tokens of the corpus, without special tokens.
        unknown_tokens: int. How many of them are `[UNK]`.
        dropped_tokens: int. How many of them are in no example; 0 by the
            default rules.
        train_examples: int.
        validation_examples: int.
        padding_fraction: float. Share of the positions of all examples that
            a batch fills with padding.
        shards: int. Files of examples.
        seconds: float. Duration of this call; 0 if it found everything done.
        reused_tokens: int. Tokens found in an earlier build's leftovers.
    """

    output_dir: str
    documents: int
    validation_documents: int
    tokens: int
    unknown_tokens: int
    dropped_tokens: int
    train_examples: int
    validation_examples: int
    padding_fraction: float
    shards: int
    seconds: float = 0.0
    reused_tokens: int = 0

    @property
    def unknown_fraction(self):
        """Share of `[UNK]` among the tokens of the corpus."""
        return self.unknown_tokens / max(self.tokens, 1)

    @property
    def tokens_per_second(self):
        """Speed of this call in tokens of the corpus, reused ones not."""
        return (self.tokens - self.reused_tokens) / max(self.seconds, 1e-9)

    def __str__(self):
        rows = [
            (
                "documents",
                f"{self.documents:,} ({self.validation_documents:,} held out)",
            ),
            ("tokens", f"{self.tokens:,}"),
            ("train examples", f"{self.train_examples:,}"),
            ("validation examples", f"{self.validation_examples:,}"),
            ("padding", f"{self.padding_fraction:.2%} of positions"),
            ("[UNK]", f"{self.unknown_fraction:.2%} of tokens"),
            ("files of examples", f"{self.shards:,}"),
        ]
        if self.dropped_tokens:
            share = self.dropped_tokens / self.tokens
            rows.append(
                ("dropped", f"{self.dropped_tokens:,} tokens ({share:.2%})")
            )
        if self.reused_tokens:
            rows.append(
                ("reused", f"{self.reused_tokens:,} tokens of a stopped build")
            )
        if self.seconds:
            rows.append(
                (
                    "time",
                    f"{self.seconds:.1f} s "
                    f"({self.tokens_per_second:,.0f} tokens/s)",
                )
            )
        else:
            rows.append(("time", "none, already built"))
        lines = [f"Examples in {self.output_dir}"]
        lines += [f"  {name:<20} {value}" for name, value in rows]
        if self.unknown_fraction > MANY_UNKNOWN:
            lines.append(
                "  Many tokens are unknown: do language and casing of the "
                "vocabulary fit the corpus?"
            )
        return "\n".join(lines)
