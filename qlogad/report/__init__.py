"""From finished cells to the results folder: tables, contrasts, figures, alarms."""
