"""The notebooks are what their programs say, and the programs run."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "examples/notebooks"
NAMES = sorted(p.stem for p in FOLDER.glob("*.py") if p.stem != "make")


def read(name):
    path = FOLDER / f"{name}.ipynb"
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def test_all_are_there():
    assert NAMES == sorted(
        ["first_steps", "pretrain_on_your_text", "finetune_and_deploy"]
        + ["first_steps_zh", "pretrain_zh"]
    )


@pytest.mark.parametrize("name", NAMES)
def test_made_of_the_program(name):
    sys.path.insert(0, str(FOLDER))
    try:
        import make
    finally:
        sys.path.remove(str(FOLDER))
    found = [
        (cell["cell_type"], "".join(cell["source"])) for cell in read(name)
    ]
    assert found == make.cells_of(FOLDER / f"{name}.py")
    outputs = [o for c in read(name) for o in c.get("outputs", [])]
    assert outputs and all(o["output_type"] != "error" for o in outputs)


@pytest.mark.parametrize("name", NAMES)
def test_runs(name, tmp_path):
    if name.endswith("_zh") and "REVIEWS" not in os.environ:
        pytest.skip("REVIEWS names no folder with waimai_10k.csv.gz")
    if name == "finetune_and_deploy":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
    process = subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3000:]
