"""Cells measured: their strength, growth, concentration, neighbours, and their landscape."""
