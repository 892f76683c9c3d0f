import argparse
import sys

from harness import options


def parse(*words):
    parser = argparse.ArgumentParser()
    options.add_arguments(parser)
    return options.from_arguments(parser.parse_args(words))


def test_nothing_given_is_the_protocol():
    assert parse() == options.Options(stream=sys.stderr)


def test_all_given():
    found = parse(
        *("--protocol", "google", "--epochs", "2", "--batch-size", "8"),
        *("--learning-rate", "0.5", "--limit", "9", "--no-jit"),
        *("--dtype", "mixed_bfloat16", "--skip-bad-rows"),
    )
    assert (found.protocol, found.epochs, found.batch_size) == ("google", 2, 8)
    assert found.optimizer == {"learning_rate": 0.5}
    assert found.dtype == "mixed_bfloat16"
    assert found.skip_bad_rows
    assert found.limit == 9 and found.jit_compile is False
