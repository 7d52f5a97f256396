"""Parsers: from messages to templates, one per file."""
