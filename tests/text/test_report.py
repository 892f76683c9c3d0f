"""The report as people read it."""

from keras_electra.text.report import BuildReport

COUNTS = dict(
    output_dir="out",
    documents=1200,
    validation_documents=12,
    tokens=1_000_000,
    unknown_tokens=1000,
    dropped_tokens=0,
    train_examples=8000,
    validation_examples=80,
    padding_fraction=0.05,
    shards=2,
)


def test_report():
    report = BuildReport(**COUNTS, seconds=4.0, reused_tokens=200_000)
    assert report.unknown_fraction == 0.001
    assert report.tokens_per_second == 200_000
    text = str(report)
    for part in (
        "1,200 (12 held out)",
        "1,000,000",
        "5.00% of positions",
        "0.10% of tokens",
        "4.0 s (200,000 tokens/s)",
        "200,000 tokens of a stopped build",
    ):
        assert part in text
    assert "dropped" not in text and "vocabulary" not in text


def test_warnings():
    counts = {**COUNTS, "unknown_tokens": 100_000, "dropped_tokens": 50_000}
    text = str(BuildReport(**counts))
    assert "Many tokens are unknown" in text
    assert "50,000 tokens (5.00%)" in text
    assert "already built" in text
