import numpy as np
from harness.recipes import GLUE
from harness.submission import write_submission


def test_names_of_classes(tmp_path):
    path = tmp_path / "new" / "RTE.tsv"
    write_submission(path, np.array([1, 0]), GLUE["rte"])
    assert path.read_text() == (
        "index\tprediction\n0\tnot_entailment\n1\tentailment\n"
    )


def test_scores_in_their_range(tmp_path):
    path = tmp_path / "STS-B.tsv"
    write_submission(path, np.array([-0.5, 0.3, 1.25]), GLUE["stsb"])
    assert path.read_text() == (
        "index\tprediction\n0\t0.000\n1\t1.500\n2\t5.000\n"
    )
