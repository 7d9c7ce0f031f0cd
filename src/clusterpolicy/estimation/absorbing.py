"""Fixed effects taken out of many outcomes at once, from counts, without a column for any of them.

Cells, and every other effect, are codes from 0. What the dummies of the other effects leave once
cells are out need not be written down: its products with itself are differences of counts, so six
thousand rows with six hundred effects take hundredths of a second.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import scipy.linalg
import scipy.sparse


class FixedEffects:
    """Effects of cells and of other keys, ready to be taken out of any outcome.

    With ``D`` the dummies of the other keys and ``W`` what takes the mean of each cell out, the
    projection is on ``B = W D R^-1`` with ``R'R = D'W D``, of which columns that are sums of
    others are left out (Frisch and Waugh 1933, Lovell 1963).

    Parameters
    ----------
    cell : ndarray of int, n_rows
        Cell of each row.
    others : sequence of ndarray of int, n_rows
        Codes of the other effects, such as prefecture x year.

    Attributes
    ----------
    rank : int
        Effects beside those of cells that are not sums of others.
    """

    def __init__(self, cell: np.ndarray, others: Sequence[np.ndarray]):
        n_rows, rows = len(cell), np.arange(len(cell) + 1)
        starts = np.cumsum([0, *(int(code.max()) + 1 for code in others)])
        columns = np.column_stack([code + at for code, at in zip(others, starts, strict=False)])
        ones = np.ones(columns.size)
        shape = n_rows, int(starts[-1])
        pointers = np.arange(0, columns.size + 1, len(others))
        self._dummies = scipy.sparse.csr_array((ones, columns.ravel(), pointers), shape=shape)
        self._cells = scipy.sparse.csr_array((np.ones(n_rows), cell, rows))
        self._cell, self._size = cell, np.bincount(cell)
        together = self._cells.T @ self._dummies
        means = scipy.sparse.diags_array(1 / self._size) @ together
        gram = (self._dummies.T @ self._dummies - together.T @ means).toarray()
        # Cholesky with pivoting finds the rank; dummies are either redundant or far from it.
        root, order, self.rank, _ = scipy.linalg.lapack.dpstrf(
            gram, tol=1e-9 * gram.diagonal().max()
        )
        self._kept = order[: self.rank] - 1
        self._root = np.triu(root[: self.rank, : self.rank])

    def within(self, columns: np.ndarray) -> np.ndarray:
        """Take the mean of each cell out of every column (n_rows x n)."""
        return columns - (self._cells.T @ columns / self._size[:, None])[self._cell]

    def take_out(self, columns: np.ndarray) -> np.ndarray:
        """Take all effects out of every column (n_rows x n)."""
        left = self.within(columns)
        sums = (self._dummies.T @ left)[self._kept]
        effects = np.zeros((self._dummies.shape[1], columns.shape[1]))
        effects[self._kept] = scipy.linalg.cho_solve((self._root, False), sums)
        return left - self.within(self._dummies @ effects)

    @cached_property
    def basis(self) -> np.ndarray:
        """``B``, n_rows x rank: worth its memory where products with it are many."""
        columns = self.within(self._dummies[:, self._kept].toarray())
        return scipy.linalg.solve_triangular(self._root, columns.T, trans="T").T

    def products(self, values: np.ndarray, group: np.ndarray) -> np.ndarray:
        """Return the products of values with the basis ``B``, added up by group.

        Parameters
        ----------
        values : ndarray, n_rows
            Of mean zero in each cell, such as a regressor that the effects were taken out of.
        group : ndarray of int, n_rows
            Group of each row, from 0; a cell lies in one group.

        Returns
        -------
        ndarray, n_groups x rank
        """
        by_group = scipy.sparse.csr_array((values, group, np.arange(len(values) + 1)))
        sums = (by_group.T @ self._dummies).toarray()[:, self._kept]
        return scipy.linalg.solve_triangular(self._root, sums.T, trans="T").T
