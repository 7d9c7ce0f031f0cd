"""How a page is made: the look of figures, tables and formulas, the HTML, what forbids it."""
