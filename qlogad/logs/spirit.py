"""Spirit: syslog of a machine at Sandia with 1,028 processors, 2005 to 2006.  Oliner and Stearley, DSN 2007, doi:10.1109/DSN.2007.103.

LABEL EPOCH      DATE       NODE  SYSLOG
-     1131566461 2005.11.09 dn228 Nov 9 12:01:01 dn228/dn228 crond(pam_unix)[2915]: session closed for user root
"""

from __future__ import annotations

from dataclasses import dataclass

from qlogad.logs.dataset import Dataset
from qlogad.logs.reading.layout import Layout, masks_of
from qlogad.logs.reading.line_files import Files, LineFiles

__all__ = ["Spirit"]


@dataclass(frozen=True)
class Spirit(LineFiles, Dataset):
    """Raw Spirit lines; a line whose first field is not '-' is an alert of that category. Sessions are nodes; time is EPOCH, in UTC."""

    path: Files  # the log, plain, gz, bz2 or xz

    layout = Layout("thunderbird").complete()
    default_window = "count"
    masks = masks_of("thunderbird")
