"""Makes each notebook of the `.py` beside it, runs it and keeps its outputs.

    python examples/notebooks/make.py first_steps pretrain_on_your_text

Cells begin with `# %%`, those of text with `# %% [markdown]`. Without names all
are made; `--no-run` leaves outputs away. The Chinese ones read reviews from the
folder that REVIEWS names.
"""

import argparse
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def cells_of(path):
    """Pairs of a kind, `"code"` or `"markdown"`, and the text of a cell."""
    cells = []
    for part in path.read_text(encoding="utf-8").split("# %%")[1:]:
        head, _, text = part.partition("\n")
        lines = text.strip().splitlines()
        is_text = head.strip() == "[markdown]"
        if is_text:
            lines = [line.removeprefix("#").removeprefix(" ") for line in lines]
        kind = "markdown" if is_text else "code"
        cells.append((kind, "\n".join(lines)))
    return cells


def make(path, run=True, folder=None):
    """Writes the notebook of a `.py`; its programs run in `folder`."""
    import nbformat
    from nbformat import v4

    cells = [
        getattr(v4, f"new_{kind}_cell")(text, id=f"cell-{number}")
        for number, (kind, text) in enumerate(cells_of(path))
    ]
    metadata = {"kernelspec": KERNEL, "colab": {"name": f"{path.stem}.ipynb"}}
    notebook = v4.new_notebook(cells=cells, metadata=metadata)
    if run:
        import nbclient

        path_to_run = pathlib.Path(folder or HERE).resolve()
        resources = {"metadata": {"path": str(path_to_run)}}
        nbclient.NotebookClient(
            notebook, timeout=1800, resources=resources
        ).execute()
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # times of the day
            for output in cell.get("outputs", [])[:]:
                if output.get("name") == "stderr":  # logs of frameworks
                    cell.outputs.remove(output)
                elif "text" in output:  # where it ran
                    here = f"{path_to_run}/"
                    output.text = output.text.replace(here, "")
    nbformat.validate(notebook)
    nbformat.write(notebook, path.with_suffix(".ipynb"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    programs = [p.stem for p in HERE.glob("*.py") if p.stem != "make"]
    parser.add_argument("names", nargs="*", default=sorted(programs))
    parser.add_argument("--no-run", action="store_true")
    parser.add_argument("--folder", help="to run in, by default this one")
    args = parser.parse_args()
    for name in args.names:
        make(HERE / f"{name}.py", not args.no_run, args.folder)
        print(f"{name}.ipynb")


if __name__ == "__main__":
    main()
