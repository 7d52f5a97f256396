"""What all tests share: one torch thread, and the folder of real logs for those marked `real`."""

import os
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

torch.set_num_threads(1)
set_hypothesis_home_dir(Path(tempfile.gettempdir()) / f"hypothesis-{os.getuid()}")  # a checkout may be read-only
settings.register_profile("qlogad", deadline=None)  # machines are shared: no law is about seconds
settings.load_profile("qlogad")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real logs; a test marked `real` fails, rather than passes unseen, where it is missing."""
    folder = os.environ.get("QLOGAD_DATA")
    assert folder, "set QLOGAD_DATA to the folder of real logs"
    return Path(folder)
