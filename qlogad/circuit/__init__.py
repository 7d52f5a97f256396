"""Circuits as data: gates, wirings, designs and drawings. Neither torch nor a quantum package is imported here."""
