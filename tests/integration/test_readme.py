"""README's examples pass a strict type check, as code that is copied from there should."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def examples():
    blocks = re.findall(
        r"^```python\n(.*?)^```$", (REPOSITORY / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    assert blocks
    return "\n".join(blocks)


def found_by_mypy(code, folder):
    program = folder / "readme.py"
    program.write_text(code, "utf-8")
    # One block may wrap the store of the block before, under the same name. h5py, eccodes and others have no types.
    options = ["--strict", "--allow-redefinition", "--config-file=", "--no-error-summary"]
    options.append("--disable-error-code=import-untyped")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(program)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


def test_the_examples_type_check(examples, tmp_path):
    assert found_by_mypy(examples, tmp_path) == ""


@pytest.mark.parametrize(
    "mistake",
    [
        "EagerStoreReader(path, store)",
        "xr.open_dataset(1)",
        "CachingReadableStore(store, cache='folder')",
        "SplittingReadableStore(store, request_sise=1)",
        "from obspec_utils.readers import OtherReader",
    ],
)
def test_a_mistake_in_an_example_is_found(examples, tmp_path, mistake):
    assert "readme.py" in found_by_mypy(f"{examples}\n{mistake}\n", tmp_path)
