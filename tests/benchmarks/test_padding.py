import keras
import pytest
from harness.glue import GlueExperiment
from harness.options import Options
from harness.padding import compare_padding


@pytest.mark.skipif(
    keras.config.backend() != "torch", reason="it would only compile"
)
def test_comparison_of_padding(preset, glue):
    made = GlueExperiment(
        "sst2", preset, glue, Options(batch_size=8, jit_compile=False)
    )
    report = compare_padding(made, steps=2, repeats=1)
    assert report.startswith("sst2: ") and "padded to 16" in report
    assert report.endswith("times as many")
