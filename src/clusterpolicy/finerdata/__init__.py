"""Finer figures and the larger files behind them: fetched, read, made comparable, checked."""
