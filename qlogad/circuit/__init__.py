"""Circuits as data: gates, wirings, designs and drawings. Imports neither torch nor a quantum package."""
