"""Finer figures and the published files behind them: fetched, read, made comparable, checked."""
