"""English prose for the quick start, from docstrings that lie around anyway.

The source files of the installed packages and of the standard library are
read and parsed, never imported. What a run finds depends on what is
installed, but the same installation gives the same text.
"""

import ast
import hashlib
import pathlib
import random
import re
import sysconfig

import numpy as np

STANDARD_LIBRARY = "python"
SKIPPED_FOLDERS = {"test", "tests", "testing", "_vendor", "site-packages"}
# Marks of code, of tables and of addresses.
NOT_PROSE = re.compile(r"^\s|>>>|^[|+$.*#@-]|::|==|--|->|://|[{}<>\\|=]", re.M)
MARKUP = re.compile(r":\w+:(?=`)|\[(?=`)|(?<=`)\](\([^)]*\))?|[`*]")


def installed_prose(num_packages=12, characters=600_000, least=100_000):
    """Collects prose from the largest packages that are installed.

    Args:
        num_packages: int. How many packages to look at, the largest first.
        characters: int. Most characters to take from each, so that none
            outweighs the others.
        least: int. Packages with fewer characters of prose are left out.

    Returns:
        A dict from the name of a package to its documents: lists of
        paragraphs, one list for each source file.
    """
    packages = _find_packages()
    sizes = {
        name: sum(path.stat().st_size for path in files)
        for name, files in packages.items()
    }
    largest = sorted(sizes, key=lambda name: (-sizes[name], name))
    seen, prose = set(), {}
    for name in largest[:num_packages]:
        documents, length = [], 0
        for path in packages[name]:
            paragraphs = _new_paragraphs(path, seen)
            if paragraphs:
                documents.append(paragraphs)
                length += sum(map(len, paragraphs))
            if length > characters:
                break
        if length > least:
            prose[name] = documents
    return prose


def _find_packages():
    """The source files of each package, in an order by chance but fixed."""
    paths = sysconfig.get_paths()
    packages = {}
    for root in sorted({paths["purelib"], paths["platlib"]}):
        for folder in pathlib.Path(root).iterdir():
            if folder.is_dir():
                packages[folder.name] = _source_files(folder)
    standard = pathlib.Path(paths["stdlib"])
    packages[STANDARD_LIBRARY] = _source_files(standard)
    return packages


def _source_files(folder):
    files = [
        path
        for path in folder.rglob("*.py")
        if SKIPPED_FOLDERS.isdisjoint(path.relative_to(folder).parts)
    ]
    return sorted(files, key=lambda path: _digest(path.relative_to(folder)))


def _digest(path):
    return hashlib.sha256(path.as_posix().encode()).digest()


def _new_paragraphs(path, seen):
    """Paragraphs of the docstrings of a file that are not in `seen`."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError):
        return []
    paragraphs = []
    for docstring in _docstrings(tree):
        for block in re.split(r"\n\s*\n", docstring):
            paragraph = _prose(block)
            # What differs in a name or a number only is no new text.
            key = re.sub(r"\S*[A-Z_\d.]\S*", "", paragraph)
            if paragraph and key not in seen:
                seen.add(key)
                paragraphs.append(paragraph)
    return paragraphs


def _docstrings(node):
    """The docstrings of a module, or of what a class or function holds."""
    docstring = ast.get_docstring(node)
    if docstring:
        yield docstring
    for child in node.body:
        if isinstance(child, (ast.ClassDef, ast.FunctionDef)):
            yield from _docstrings(child)


def _prose(block):
    """The block as one line without markup, or "" if it is not prose."""
    if NOT_PROSE.search(block) or not block.isascii():
        return ""
    text = MARKUP.sub("", " ".join(block.split()))
    words = re.findall(r"[A-Za-z]{2,}", text)
    letters = sum(map(str.isalpha, text)) + text.count(" ")
    is_prose = (
        len(words) >= 8
        and text[0].isupper()
        and text[-1] in ".!?"
        and letters > 0.9 * len(text)
    )
    return text if is_prose else ""


def read_files(files):
    """Reads plain text with a blank line between documents.

    Args:
        files: list of paths.

    Returns:
        A dict from the name of a file to its documents, as `installed_prose`.
    """
    sources = {}
    for path in map(pathlib.Path, files):
        blocks = re.split(r"\n\s*\n", path.read_text(encoding="utf-8"))
        documents = [_lines(block) for block in blocks if block.strip()]
        sources.setdefault(path.stem, []).extend(documents)
    return sources


def _lines(block):
    return [line.strip() for line in block.splitlines() if line.strip()]


def write_files(sources, folder):
    """Writes each source to a file, for `build_examples`; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, documents in sources.items():
        text = "\n\n".join("\n".join(lines) for lines in documents)
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return [folder / f"{name}.txt" for name in sources]


def keep_back(sources):
    """Parts every fifth document of each source from the others.

    Args:
        sources: dict from name to documents.

    Returns:
        Two such dicts: the others, and what is kept back.
    """
    others = {
        name: [lines for i, lines in enumerate(documents) if i % 5]
        for name, documents in sources.items()
    }
    return others, {name: docs[::5] for name, docs in sources.items()}


def labelled_passages(sources, num_classes, labelled, tested, seed):
    """Passages with the number of their source, for a classifier.

    Documents take turns: one is for learning, the next for the test. Classes
    are the sources with the most passages, all with the same number of them.

    Args:
        sources: dict from name to documents.
        num_classes: int. Most classes.
        labelled: int. Passages of each class to learn from.
        tested: int. Most passages of each class to test.
        seed: int. Of the choice among passages.

    Returns:
        The names of the classes, and twice a list of passages with an array
        of class numbers: to learn from, to test. `None` if there are not two
        sources with passages enough.
    """
    names = re.compile("|".join(map(re.escape, sources)), re.IGNORECASE)
    parts = {}
    for name, documents in sources.items():
        learning, testing = [], []
        for i, lines in enumerate(documents):
            passages = [p for p in _passages(lines) if not names.search(p)]
            (testing if i % 2 else learning).extend(passages)
        if len(learning) >= labelled and len(testing) >= 10:
            parts[name] = learning, testing
    classes = sorted(parts, key=lambda name: -len(parts[name][1]))
    classes = sorted(classes[:num_classes])
    if len(classes) < 2:
        return None
    tested = min(tested, *(len(parts[name][1]) for name in classes))
    chance = random.Random(seed)
    split = []
    for part, size in enumerate((labelled, tested)):
        texts, labels = [], []
        for label, name in enumerate(classes):
            texts += chance.sample(parts[name][part], size)
            labels += [label] * size
        split.append((texts, np.array(labels)))
    return classes, *split


def _passages(lines, least_words=25):
    """Joins paragraphs that follow each other until they have words enough."""
    passages, words = [], []
    for line in lines:
        words += line.split()
        if len(words) >= least_words:
            passages.append(" ".join(words))
            words = []
    return passages
