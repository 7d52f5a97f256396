"""The general masks: what varies in the messages of any log, by name. Earlier masks go first."""

__all__ = ["GENERAL"]

GENERAL: dict[str, str] = {
    "URL": r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>\])]+",
    "EMAIL": r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b",
    "TIME": r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[-+]\d\d:?\d\d)?)?\b|\b\d{1,2}:\d\d:\d\d(?:[.,]\d+)?\b",
    "UUID": r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b",
    "MAC": r"\b[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}\b",
    "IP": r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|(?<![\w:])(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}(?![\w:])",
    "PATH": r"(?<![\w/.])(?:[A-Za-z]:\\[\w.$~+-]+(?:\\[\w.$~+-]+)*|(?:/[\w.$@~+-]+){2,}/?)",
    "HEX": r"\b0x[0-9a-fA-F]+\b|\b(?=[0-9a-f]*\d)(?=\d*[a-f])[0-9a-f]{8,}\b",
    "NUM": r"(?<![\w.])[-+]?\d+(?:\.\d+)*(?!\w|\.\d)",
}
