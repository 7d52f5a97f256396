"""IoTDB: a cluster of Apache IoTDB with injected anomalies.  MultiLog, AIOps-LogDB, arXiv:2406.07976.

    - 2023-11-18 08:46:14,674 [main] INFO  o.a.i.c.c.ConfigNodeDescriptor:105 - Start to read config file ...

A line that begins with '- ' is normal; one without it lies in the time of an injection.
"""

from __future__ import annotations

from dataclasses import dataclass

from qlogad.logs.dataset import Dataset
from qlogad.logs.reading.layout import Layout, masks_of
from qlogad.logs.reading.line_files import Files, LineFiles

__all__ = ["Iotdb"]


@dataclass(frozen=True)
class Iotdb(LineFiles, Dataset):
    """Raw lines of nodes, marked; a stack trace belongs to the event above it."""

    path: Files  # logs of nodes, such as "iotdb.tar/cpu/label*.log"

    layout = Layout("iotdb").complete()
    default_window = "count"
    masks = masks_of("iotdb")
