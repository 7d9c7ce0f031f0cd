"""One industry through every classification: policy fields to the industries of the accounts."""

import pandas as pd

from clusterpolicy import sources


def industries_by_code(account_industries: pd.DataFrame) -> pd.DataFrame:
    """Say which industry of each base holds each JSIC rev.12 code.

    Parameters
    ----------
    account_industries : DataFrame
        Checked raw table; ``jsic_rev12`` is a list joined by ``;``.

    Returns
    -------
    DataFrame
        ``base``, ``jsic_rev12``, ``industry``; one row per base and code.

    Raises
    ------
    sources.DataFault
        If a code stands in two industries of one base.
    """
    codes = account_industries.assign(
        jsic_rev12=account_industries["jsic_rev12"].str.split(";")
    ).explode("jsic_rev12")
    codes = codes[codes["jsic_rev12"] != ""]
    twice = codes.duplicated(["base", "jsic_rev12"], keep="first")
    if twice.any():
        line, row = next(codes[twice].iterrows())
        raise sources.DataFault(
            f"{account_industries.attrs['file']}:{line}: column jsic_rev12: found "
            f"{row['jsic_rev12']!r}: already in another industry of base {row['base']}: "
            "leave it in one of the two"
        )
    return codes[["base", "jsic_rev12", "industry"]].reset_index(drop=True)


def fields_to_sectors(
    field_industries: pd.DataFrame, account_sectors: pd.DataFrame
) -> pd.DataFrame:
    """Carry the fields map to the sectors of the accounts outside manufacturing.

    Parameters
    ----------
    field_industries : DataFrame
        ``field``, ``reading``, ``account_sector`` (empty where the row is about a JSIC code).
    account_sectors : DataFrame
        ``base`` and ``industry``: the sectors that each base prints.

    Returns
    -------
    DataFrame
        ``base``, ``field``, ``reading``, ``industry``, as :func:`fields_to_industries` gives it.
    """
    named = field_industries[field_industries["account_sector"] != ""]
    named = named.rename(columns={"account_sector": "industry"})
    # A sector stands under several fields and once in each base: many to many is meant.
    joined = named[["field", "reading", "industry"]].merge(
        account_sectors[["base", "industry"]], on="industry", validate="many_to_many"
    )
    return joined[["base", "field", "reading", "industry"]]


def fields_to_industries(
    field_industries: pd.DataFrame, account_industries: pd.DataFrame
) -> pd.DataFrame:
    """Carry the fields map from JSIC codes to the industries of each base.

    Parameters
    ----------
    field_industries : DataFrame
        Checked raw table: field, reading and JSIC rev.12 code; an empty code means that the field
        has no manufacturing industry.
    account_industries : DataFrame
        Checked raw table.

    Returns
    -------
    DataFrame
        ``base``, ``field``, ``reading``, ``industry``, without repetition. A field that reaches an
        industry through several codes has reading ``both`` if one of them has.

    Raises
    ------
    sources.DataFault
        If a code is in no industry of some base.
    """
    codes = industries_by_code(account_industries)
    mapped = field_industries[field_industries["jsic_rev12"] != ""]
    bases = sorted(codes["base"].unique())
    for base in bases:
        known = set(codes.loc[codes["base"] == base, "jsic_rev12"])
        unknown = mapped[~mapped["jsic_rev12"].isin(known)]
        if not unknown.empty:
            line, row = next(unknown.iterrows())
            raise sources.DataFault(
                f"{field_industries.attrs['file']}:{line}: column jsic_rev12: found "
                f"{row['jsic_rev12']!r}: in no industry of base {base}: correct it, or add it to "
                f"{account_industries.attrs['file']}"
            )
    # A code stands under several fields and once in each base: many to many is meant.
    joined = mapped[["field", "reading", "jsic_rev12"]].merge(
        codes, on="jsic_rev12", validate="many_to_many"
    )
    keys = ["base", "field", "industry"]
    # "both" sorts after "broad": the last one wins where codes of both readings meet.
    joined = joined.sort_values([*keys, "reading"], key=lambda s: s.replace("both", "~both"))
    joined = joined.drop_duplicates(keys, keep="last")
    return joined[["base", "field", "reading", "industry"]].reset_index(drop=True)
