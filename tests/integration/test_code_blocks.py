"""Code on the pages and in docstrings: all of it is run by a test, and each block imports what it uses."""

from __future__ import annotations

import ast
import re

import pytest

from tests.integration.documents import REPOSITORY, docstring_blocks, pages, python_blocks

BLOCKS = {**{page: python_blocks(page) for page in pages()}, **docstring_blocks()}
TESTS = "\n".join(path.read_text("utf-8") for path in (REPOSITORY / "tests" / "integration").glob("test_*.py"))
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def imported(tree):
    statements = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    return {alias.asname or alias.name.split(".")[0] for node in statements for alias in node.names}


def defined(tree):
    names = {node.name for node in ast.walk(tree) if isinstance(node, (*FUNCTIONS, ast.ClassDef))}
    names |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    variables = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
    return names | {node.id for node in variables if isinstance(node.ctx, ast.Store)}


def lacking(block, known):
    """Return the names of `known` that a block uses, but neither imports nor defines."""
    tree = ast.parse(block)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return (used & known) - imported(tree) - defined(tree)


KNOWN = {name for blocks in BLOCKS.values() for block in blocks for name in imported(ast.parse(block))}


@pytest.mark.parametrize("place", BLOCKS)
def test_each_block_imports_what_it_uses(place):
    assert [found for block in BLOCKS[place] if (found := lacking(block, KNOWN))] == []


def test_a_block_without_an_import_is_found():
    assert lacking("with open_reader(store, 'a') as file: pass", KNOWN) == {"open_reader"}


@pytest.mark.parametrize("page", pages())
def test_the_code_of_each_page_is_run(page):
    assert f'"{page}"' in TESTS or f'"{page.rsplit("/", 1)[1]}"' in TESTS


def test_figures_of_the_home_page_are_those_of_the_benchmarks():
    home = (REPOSITORY / "docs" / "index.md").read_text("utf-8")
    summary = (REPOSITORY / "docs" / "benchmarks" / "index.md").read_text("utf-8").split("### Missed")[0]
    figures = {
        "load 256 MiB": "load 256 MiB",
        "metadata of a NetCDF4 file of 124 MB, in 64 MiB of memory": "the same in 64 MiB of memory",
        "300 random reads of an object of 256 MiB": "300 random reads in 64 MiB of memory",
    }
    for shown, measured in figures.items():
        assert numbers(home, shown) == numbers(summary, measured)


def numbers(text, label):
    """Return the seconds in the row of a table that has this label."""
    (row,) = re.findall(rf"^\| {re.escape(label)} \|(.*)$", text, re.MULTILINE)
    return re.findall(r"\d+\.\d\d", row)
