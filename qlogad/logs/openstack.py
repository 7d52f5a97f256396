"""OpenStack: nova's logs, by instance.  Du et al. (DeepLog), CCS 2017, doi:10.1145/3133956.3134015; as in loghub.

A line belongs to the instances that it names as `[instance: UUID]`; one without belongs to no session.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from qlogad.logs.dataset import Dataset, File, Intake
from qlogad.logs.reading.layout import Layout, masks_of
from qlogad.logs.reading.line_files import Files, LineFiles
from qlogad.logs.reading.raw_lines import read_lines
from qlogad.logs.reading.tables import read_labels

__all__ = ["Openstack"]

_INSTANCE = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@dataclass(frozen=True)
class Openstack(LineFiles, Dataset):
    """Lines of OpenStack's services, with times or without, with the name of their file before them or not; sessions are instances."""

    path: Files | None = None  # the log, or all logs
    train: Files | None = None  # instead of path: normal logs for training ...
    test: Files | None = None  # ... and those to be judged
    labels: File | None = (
        None  # a table of instances and labels; or a text that names the anomalous ones, as loghub's anomaly_labels.txt
    )

    layout = Layout("openstack").complete()
    masks = masks_of("openstack")

    def __post_init__(self) -> None:
        self.files()

    def session_labels(self) -> Mapping[str, int]:
        """Labels by instance; empty without a label file: all labels are then unknown."""
        if self.labels is None:
            return {}
        lines = [line.text for line in read_lines(self.labels, Intake())]
        if any(mark in lines[0] for mark in ",;\t|") if lines else True:
            return read_labels(self.labels)
        normal = {session: 0 for record in self.records(Intake()) for session in record.sessions}
        return normal | {instance: 1 for line in lines for instance in _INSTANCE.findall(line)}
