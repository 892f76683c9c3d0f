"""The wheel carries every room and the presets, and opens them by name."""

import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

from keras_electra.presets import find_presets
from keras_electra.tasks.replaced_token_detector import (
    ElectraReplacedTokenDetector,
)
from keras_electra.tasks.replaced_token_detector import (
    ElectraReplacedTokenDetectorPreprocessor,
)
from tests import checks

ROOT = pathlib.Path(__file__).parent.parent
USE = """
import pathlib, sys
import keras_electra
from keras_electra.tasks.replaced_token_detector import (
    ElectraReplacedTokenDetector
)
site, name = sys.argv[1:]
assert pathlib.Path(keras_electra.__file__).is_relative_to(site)
detector = ElectraReplacedTokenDetector.from_preset(name)
path = pathlib.Path(type(detector).presets[name]["kaggle_handle"])
assert path.is_relative_to(site), path
print([token.token for token in detector.detect("the")])
"""


def run(*command, **kwargs):
    result = subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        **kwargs,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of what a wheel is built from, with a preset at least."""
    project = tmp_path_factory.mktemp("project")
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("keras_electra", "presets"):
        shutil.copytree(ROOT / name, project / name, ignore=ignore)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, project)
    if not (project / "README.md").exists():
        (project / "README.md").write_text("")
    if not find_presets(project / "presets"):
        task = ElectraReplacedTokenDetector(
            checks.tiny_backbone(),
            preprocessor=ElectraReplacedTokenDetectorPreprocessor(
                checks.tiny_tokenizer(), sequence_length=8
            ),
        )
        task.save_to_preset(project / "presets" / "electra_test_en")
    return project


@pytest.fixture(scope="module")
def wheel(project, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--no-deps", "--no-build-isolation", "--quiet")
    run("-m", "pip", "wheel", *options, "--wheel-dir", folder, project)
    [wheel] = folder.glob("*.whl")
    return wheel


def test_wheel_has_every_file(project, wheel):
    expected = {
        path.relative_to(project).as_posix()
        for kind in ("*.py", "*.txt", "py.typed")
        for path in (project / "keras_electra").rglob(kind)
    }
    expected |= {
        f"keras_electra/_{path.relative_to(project).as_posix()}"
        for path in (project / "presets").rglob("*")
        if path.is_file()
    }
    names = set(zipfile.ZipFile(wheel).namelist())
    assert expected <= names
    others = names - expected
    assert all(".dist-info/" in name for name in others), others


def test_installed_wheel_opens_presets_by_name(project, wheel, tmp_path):
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    options = ("--no-deps", "--no-index", "--quiet", "--target", site)
    run("-m", "pip", "install", *options, wheel)
    name = sorted(find_presets(project / "presets"))[0]
    environment = {**os.environ, "PYTHONPATH": str(site)}
    output = run("-c", USE, site, name, cwd=elsewhere, env=environment)
    assert output.strip().splitlines()[-1].startswith("['")
