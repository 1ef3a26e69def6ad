"""Exports of a reconstruction to other programs' formats."""
