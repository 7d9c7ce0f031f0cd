"""What a column of a raw table may hold: codes, years, numbers, lists and closed sets."""

import re

from clusterpolicy.checks.checking import FREE as FREE
from clusterpolicy.checks.checking import PREFECTURE_CODES, Kind

# A hidden cell is never zero and never guessed; nil means that there is none.
STATUS_OF_SYMBOL = {"X": "hidden", "-": "nil"}

# [0-9], not \d: full-width digits are not figures until somebody has looked at them.
_NUMBER = r"-?[0-9]+(\.[0-9]+)?"

TEXT = Kind("must not be empty", "write it, or remove the row", r"\s*\S[\s\S]*")
SOURCE = Kind(
    "not a list of source keys", "write keys of sources.csv joined by ;", r"[\w-]+(;[\w-]+)*"
)
PREFECTURE = Kind(
    "not a prefecture code", "write 01 to 47 with its leading zero", values=PREFECTURE_CODES
)
PREFECTURES = Kind(
    "not a list of prefecture codes",
    "write codes 01 to 47 joined by ;",
    rf"({'|'.join(PREFECTURE_CODES)})(;({'|'.join(PREFECTURE_CODES)}))*",
)
YEAR = Kind("not a year", "write four digits, 1900 to 2099", r"(19|20)[0-9]{2}")
OPTIONAL_YEAR = Kind("not a year", "write four digits, or leave it empty", r"((19|20)[0-9]{2})?")
NUMBER = Kind("not a number", "write plain digits without separators or letters", _NUMBER)
OPTIONAL_NUMBER = Kind("not a number", "write plain digits, or leave it empty", rf"({_NUMBER})?")
AMOUNT = Kind(
    "neither a number nor a symbol",
    "write plain digits, X for hidden or - for nil",
    rf"{_NUMBER}|{'|'.join(re.escape(symbol) for symbol in STATUS_OF_SYMBOL)}",
)
WHOLE = Kind("not a whole number", "write digits only", r"[0-9]+")
MUNICIPALITY = Kind(
    "not a municipality's code",
    "write its five digits",
    rf"({'|'.join(PREFECTURE_CODES)})[0-9]{{3}}",
)
PLANTS = Kind(
    "not a number of establishments, which is never hidden",
    "write plain digits, - for nil, or leave it empty where no line was published",
    r"([1-9][0-9]*)?|-",
)
JOBS = Kind(
    "neither a number of persons nor a symbol",
    "write plain digits, X for hidden, - for nil, * for not collected, or leave it empty where no "
    "line was published",
    r"([0-9]+)?|[X*-]",
)
SHIPMENTS = Kind(
    "neither an amount nor a symbol",
    "write plain digits with two decimals at most, X for hidden, - for nil, * for not collected, "
    "or leave it empty where no line was published",
    r"([0-9]+(\.[0-9]{1,2})?)?|[X*-]",
)
KEY = Kind("not a key", "write small letters and _", r"[a-z_]+")
OPTIONAL_KEY = Kind("not a key", "write small letters and _, or leave it empty", r"[a-z_]*")
OPTIONAL_WHOLE = Kind("not a whole number", "write digits only, or leave it empty", r"[0-9]*")
TERM = Kind("not a policy term", "write 1, 2 or 3", values=("1", "2", "3"))
JSIC = Kind(
    "not a list of JSIC codes", "write two-digit codes joined by ;", r"([0-9]{2}(;[0-9]{2})*)?"
)


def one_of(*values: str) -> Kind:
    """Return the kind of a column with a closed list of values."""
    return Kind("not an allowed value", f"choose one of {', '.join(values)}", values=values)


CONFIDENCE = one_of("high", "medium", "low")
