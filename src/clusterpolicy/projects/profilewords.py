"""What the page of a project says: its answer, what is for and against it, what is unknown."""

import re

import pandas as pd

from clusterpolicy.cells.stars import DEFAULT
from clusterpolicy.checks import register
from clusterpolicy.panel import Study
from clusterpolicy.projects import portfolio
from clusterpolicy.projects.profiles import ALL, Period, Profile
from clusterpolicy.tables import places_needed
from clusterpolicy.wording import (
    format_interval,
    format_number,
    format_p,
    format_years,
    is_missing,
)

NOT_FOUND = "not found"
OUTSIDE = "outside manufacturing"  # in the note of a field whose step to an industry misses most
KIND_WORDS = {
    "new": "had none before it",
    "continued": "carried on one under the same name",
    "renamed": "carried on one under another name",
    "merged": "merged several",
    "split off": "took over a part of one",
    "merged and split off": "merged several, one in part",
    "ended": "found no successor",
}
COUNTED = {
    "yes": "counted in the official number of projects",
    "no": "not counted in the official number of projects",
    "uncertain": "it is not certain that it is counted in the official number of projects",
}


def answer(profile: Profile, estimates: pd.DataFrame) -> list[str]:
    """Write the five lines that open the page.

    Parameters
    ----------
    profile : Profile
    estimates : DataFrame
        Records of ``synthetic.estimate_project`` for the term of the project.
    """
    return [
        f"{what_it_was(profile)} {lineage_sentence(profile)}",
        target_sentence(profile),
        growth_sentence(profile),
        effect_sentence(profile, main_record(profile, estimates)),
        record_sentence(profile),
    ]


def title(project: pd.Series) -> str:
    """Return the project's name in English, without later names and explanations."""
    return register.title_of(project)


def listed(items: list[str]) -> str:
    """Join as in a sentence: a, b and c."""
    *rest, last = items or [NOT_FOUND]
    return f"{', '.join(rest)} and {last}" if rest else last


def place(profile: Profile) -> str:
    """Name where the project was: its one prefecture, or its prefectures."""
    if len(profile.prefectures) == 1:
        return str(profile.prefecture_names[profile.prefectures[0]])
    return "its prefectures"


def industry_words(profile: Profile, industries: list[str]) -> list[str]:
    """Return short names of industries for a sentence."""
    return [profile.industry_names[each].split(",")[0].lower() for each in industries]


def main_record(profile: Profile, estimates: pd.DataFrame) -> pd.Series:
    """Return the declared main estimate of a project: shipments over its own term.

    Raises
    ------
    KeyError
        If the records hold none or several.
    """
    name = f"t{profile.term.number}-{profile.term.clock}-sdid-{profile.project_id}-shipments"
    rows = estimates[estimates["result_id"] == name]
    if len(rows) != 1:
        raise KeyError(f"results: found {len(rows)} records {name}: run `make report` again")
    return rows.iloc[0]


def effect_sentence(profile: Profile, record: pd.Series) -> str:
    """Say what the synthetic difference-in-differences found for one outcome."""
    outcome = record["outcome_label"]
    if record["status"] != "estimated":
        return (
            f"Whether {outcome} in {place(profile)} moved apart from a synthetic counterpart "
            f"cannot be estimated: {record['reason']}."
        )
    donors = int(record["n_cells"] - record["n_targeted"])
    side = "below" if record["estimate"] < 0 else "above"
    first, last = record["term_years"].split("-")
    where = place(profile)
    places = places_needed(record["low"], record["high"])
    return (
        f"In {format_years(first, last, '')} {outcome} in {where} lay "
        f"{format_number(abs(record['estimate']), places)} {record['unit']} {side} a synthetic "
        f"counterpart weighted from {donors} other prefectures "
        f"({format_number(100 * record['level'])} % interval "
        f"{format_interval(record['low'], record['high'], places)}; {format_p(record['p_value'])}, "
        f"a rank among {format_number(record['draws'])} sets that stand in, so not below "
        f"{format_number(record['smallest_p'], 3)}): {_seen(profile, record)}."
    )


def _seen(profile: Profile, record: pd.Series) -> str:
    if record["low"] > 0 or record["high"] < 0:
        projects = profile.study.projects_of_term(profile.term.number)
        count = projects["prefectures"].nunique()
        return (
            "the interval leaves out zero, as it would by chance for about one in twenty of the "
            f"{count} territories tested, and totals hold all manufacturing, not its cells alone"
        )
    seen = f"{format_number(record['mde'], 1)} {record['unit']}"
    return f"no difference detectable; one above {seen} would have been seen"


def what_it_was(profile: Profile) -> str:
    """Say who ran the project, where and when."""
    project = profile.project
    first, last = portfolio.funded_years(project, profile.study.terms, "funded")
    count = len(profile.prefectures)
    if count == 1:
        where = f"in {profile.prefecture_names[profile.prefectures[0]]}"
    else:
        where = f"in {count} prefectures of the {project['bureau']} bureau"
    body = "no promotion body is named in the sources"
    if not is_missing(project["promotion_body"]):
        body = f"run by {short_body(project)}"
    return (
        f"{title(project)} ({project['name_ja'].split('/')[0]}) was a project of term "
        f"{profile.term.number} {where}, with national money in "
        f"{format_years(first, last)}; {body}."
    )


def short_body(project: pd.Series) -> str:
    """Name the promotion body without its explanation."""
    return project["promotion_body"].split("; other")[0].split(", see")[0].replace("; ", " and ")


def lineage_sentence(profile: Profile) -> str:
    """Say what the project came out of, or that nothing followed it."""
    names = profile.study.projects.set_index("project_id").apply(title, axis=1)
    links = profile.links
    kind = links["kind"].iloc[0]
    before = listed([names[each] for each in links["predecessor"] if each])
    doubt = "" if links["certainty"].ne("low").all() else " This link is of low confidence."
    year = profile.project["first_fy"]
    since = "" if is_missing(year) else f" in FY{int(year)}"
    told = {
        "new": f"It was new{since}: no project of term 1 came before it.",
        "continued": "It carried on the project of the same name of term 1.",
        "renamed": f"It followed {before} of term 1.",
        "merged": f"It merged {before} of term 1.",
        "split off": f"It took over a part of {before} of term 1.",
        "merged and split off": f"It merged {before} of term 1, one of which only in part.",
        "ended": "No project of term 2 followed it.",
    }
    if profile.term.number == 1 and kind != "ended":
        return f"In term 2 it became {listed([names[each] for each in links['successor']])}.{doubt}"
    return told[kind] + doubt


def reading_sentence(profile: Profile) -> str:
    """Say that another reading of the fields than the one asked for is used, if so."""
    if profile.asked == profile.reading:
        return ""
    return (
        f"Of {title(profile.project)} the sources name no field but manufacturing, which the "
        f"{profile.asked} reading maps to no industry: the {profile.reading} reading is shown."
    )


def target_sentence(profile: Profile) -> str:
    """Say which cells the project's fields stand for and how much they weighed."""
    industries = industry_words(profile, list(dict.fromkeys(profile.cells["industry"])))
    weight = profile.weight.dropna().sort_values("value")
    year = f"FY{profile.join_year}"
    heaviest = profile.prefecture_names[weight["pref_code"].iloc[-1]]
    if len(weight) == 1:
        share = f"{format_number(weight['value'].iloc[0], 1)} % of the manufacturing of {heaviest}"
    else:
        share = (
            f"{format_interval(weight['value'].iloc[0], weight['value'].iloc[-1])} % of the "
            f"manufacturing of its prefectures, most in {heaviest}"
        )
    sentence = (
        f"It named {listed(field_names(profile.project))}: in the {profile.reading} reading "
        f"{len(profile.cells)} cells of {listed(industries)}, which in {year} made "
        f"{format_number(profile.national_share, 1)} % of the nation's product of these industries "
        f"and {share}."
    )
    return f"{sentence} {reading_sentence(profile)}".strip()


def field_names(project: pd.Series) -> list[str]:
    """Return the fields as words: abbreviations stay, hyphens become blanks."""
    return [field.replace("-", " ") for field in project["fields"].split(";")]


def growth_sentence(profile: Profile) -> str:
    """Set growth of its cells in its term beside that of the same industries elsewhere."""
    parts = {period.name: _growth(profile, period) for period in profile.periods}
    during = profile.periods[-2]
    row = parts["during"]
    if row is None:
        return (
            f"How the cells of {title(profile.project)} grew over {during.label} cannot be said: "
            "too many of their figures are hidden."
        )
    sentence = (
        f"Over {during.label} ({_years(during)}) product of its cells {_changed(row['own'])}, "
        f"while its mix of industries {_changed(row['elsewhere'])} in the other prefectures: "
        f"{_points(row['gap'])}."
    )
    rest = [
        f"{_points(parts[period.name]['gap'])} {_over(period)}"
        for period in profile.periods
        if period.name != "during" and parts[period.name] is not None
    ]
    return f"{sentence} The same gap was {listed(rest)}." if rest else sentence


def chance_sentences(profile: Profile) -> list[str]:
    """Hold the end of its path against groups of prefectures, and name the cell that leads it."""
    during = profile.periods[-2]
    rows = profile.path_bands
    at_end = (rows["base"] == during.base) & (rows["fy"] == during.end)
    rows = rows[at_end & (rows["industry"] == ALL)]
    if rows.empty:
        return []
    end = rows.iloc[0]
    gap = f"{format_number(end['gap'], 1, sign=True)} %"
    sentence = (
        f"In FY{during.end} all its cells stood {gap} from the same industries elsewhere; no band: "
        f"there are too few groups of {len(profile.prefectures)} adjoining prefectures outside it."
    )
    if end["n_groups"]:
        is_within = end["low"] <= end["gap"] <= end["high"]
        size = len(profile.prefectures)
        groups = f"groups of {size} adjoining prefectures" if size > 1 else "single prefectures"
        sentence = (
            f"In FY{during.end} all its cells stood {gap} from the same industries elsewhere, "
            f"{'within' if is_within else 'outside'} the "
            f"{format_interval(end['low'], end['high'], 1)} % that chance allows "
            f"(95 % band from {end['n_groups']} {groups})."
        )
    if profile.leading_cell is None:
        return [sentence]
    code, industry = profile.leading_cell
    territory = profile.territories[during.base]
    left = territory.gaps((code, industry))[ALL][list(territory.years).index(during.end)]
    name = profile.industry_names[industry].split(",")[0].lower()
    return [
        sentence,
        f"The cell that moves it most is {name} in {profile.prefecture_names[code]}: without it "
        f"{format_number(left, 1, sign=True)} %.",
    ]


def _growth(profile: Profile, period: Period) -> pd.Series | None:
    rows = profile.growth
    row = rows[(rows["industry"] == ALL) & (rows["period"] == period.name)].iloc[0]
    return None if is_missing(row["gap"]) else row


def _over(period: Period) -> str:
    named = f"{period.label} ({_years(period)})"
    return named if period.name in ("before", "after") else f"in {named}"


def _years(period: Period) -> str:
    return format_years(period.start + 1, period.end)


def _changed(rate: float) -> str:
    verb = "fell" if rate < 0 else "grew"
    return f"{verb} by {format_number(abs(rate), 1)} % a year"


def _points(gap: float) -> str:
    return f"{format_number(gap, 1, sign=True)} percentage points a year"


def area_sentences(profile: Profile) -> list[str]:
    """Say which areas below the prefecture the sources name, or that they name none."""
    areas = profile.study.project_areas
    own = areas[areas["projects"].str.split(";").map(lambda ids: profile.project_id in ids)]
    if own.empty:
        return [
            f"No source names an area of {title(profile.project)} below "
            f"{'the prefecture' if len(profile.prefectures) == 1 else 'its prefectures'}, so all "
            "plants there are counted, near the project or far."
        ]
    return [_area_sentence(profile, area) for area in own.to_dict("records")]


def _area_sentence(profile: Profile, area: dict[str, str]) -> str:
    prefectures = listed(
        [profile.prefecture_names[code] for code in area["prefectures"].split(";")]
    )
    what = area["municipalities"] or f"somewhere in {prefectures}; no municipality is named"
    body = f" Local body: {area['local_body']}." if area["local_body"] else ""
    return f"{area['name_en']} ({area['name_ja']}; confidence {area['confidence']}): {what}.{body}"


def star_sentences(profile: Profile) -> list[str]:
    """Say which cells hold most stars, and what a star stands for."""
    cells = profile.stars
    best = cells[cells["stars"] == cells["stars"].max()]
    count = int(cells["stars"].max()) if cells["stars"].notna().any() else 0
    named = [
        f"{name.split(',')[0].lower()} in {prefecture}"
        for name, prefecture in zip(best["name"], best["prefecture"], strict=True)
    ]
    if not count:
        found = f"No cell of {title(profile.project)} holds a star for certain."
    else:
        some = named if len(named) <= 4 else [*named[:3], f"{len(named) - 3} more"]
        found = f"Most stars, {count}, are held by {listed(some)}."
    return [found, DEFAULT.in_words()]


def company_sentence(profile: Profile) -> str:
    """Say which other projects met the same cells."""
    cells, company = profile.cells, profile.company
    shared = int((cells["others"] > 0).sum())
    names = profile.study.projects.set_index("project_id").apply(title, axis=1)
    others = [names[each] for each in company.loc[company["shared_cells"] > 0, "other"]]
    some = f"{shared} of its {len(cells)} cells {'was' if shared == 1 else 'were'}"
    if shared == len(cells):
        some = f"All {shared} of its cells were" if shared > 1 else "Its only cell was"
    if shared:
        return (
            f"{some} also targeted by {listed(others)}, so what is found in them is not "
            f"{title(profile.project)}'s alone."
        )
    near = [names[each] for each in company["other"]]
    if near:
        return (
            f"None of its cells was targeted by another project of term {profile.term.number}, "
            f"but its prefectures were also covered by {listed(near)}."
        )
    where = listed([profile.prefecture_names[code] for code in profile.prefectures])
    return f"No other project of term {profile.term.number} covered {where}, so no cell is shared."


def record_sentence(profile: Profile) -> str:
    """Say how much of what a register would hold is recorded, and what is not."""
    known = portfolio.what_is_recorded(profile.study.projects).loc[profile.project_id]
    missing = [portfolio.ASKED[column] for column in known.index[~known]]
    sentence = (
        f"What is known of {title(profile.project)} comes from {listed(_publishers(profile))}: of "
        f"{len(known)} things that a register of projects would say, {int(known.sum())} are found "
        f"(confidence: {profile.project['confidence']})"
    )
    return f"{sentence}; not found: {listed(missing)}." if missing else f"{sentence}."


def _publishers(profile: Profile) -> list[str]:
    """Name who published what the project's row stands on, without explanations in brackets."""
    named = profile.study.sources.set_index("source")["publisher"]
    found = [named[key] for key in profile.project["source"].split(";")]
    own = {"this project": "background knowledge of this study"}
    short = [own.get(each, re.sub(r"\s*\((?!private).*\)", "", each)) for each in found]
    return list(dict.fromkeys(short))


def weigh(profile: Profile) -> dict[str, str]:
    """Write what is observed, the strongest doubt and what would change our mind.

    What is observed of a project's cells is no evidence of an effect; the page heads it so.
    """
    during = profile.periods[-2]
    rows = profile.growth
    rows = rows[(rows["period"] == "during") & (rows["industry"] != ALL)].dropna(subset=["gap"])
    ahead = industry_words(profile, list(rows.loc[rows["gap"] > 0, "industry"]))
    span = f"Over {during.label} ({_years(during)})"
    if rows.empty:
        strongest = f"Nothing: no industry of {title(profile.project)} is seen in every year."
    elif not ahead:
        industries = listed(industry_words(profile, list(rows["industry"])))
        strongest = f"{span} {industries} did worse in {place(profile)} than elsewhere."
    else:
        behind = industry_words(profile, list(rows.loc[rows["gap"] <= 0, "industry"]))
        strongest = f"{span} {listed(ahead)} did better in {place(profile)} than elsewhere"
        strongest += f"; {listed(behind)} did worse." if behind else "."
    if not rows.empty:
        strongest += (
            f" This is what happened in {place(profile)}, whoever caused it: no evidence that "
            f"{title(profile.project)} had an effect."
        )
    return {"strongest": strongest, "doubt": _doubt(profile), "change_mind": _change(profile)}


def _doubt(profile: Profile) -> str:
    before = _growth(profile, profile.periods[0])
    during = _growth(profile, profile.periods[-2])
    if before is None or during is None:
        hidden = int(profile.paths["n_hidden"].max())
        return (
            f"The publisher hides so many figures ({hidden} of its cells are not seen in every "
            "year) that the years before the policy cannot be compared."
        )
    first = profile.periods[0]
    earlier = f"in the years before the policy ({_years(first)}) it was {_points(before['gap'])}"
    if before["gap"] * during["gap"] > 0:
        trend = f"The gap is older than the term: {earlier}."
    else:
        trend = f"The gap has changed sign before: {earlier}."
    return f"{company_sentence(profile)} {trend}"


def _change(profile: Profile) -> str:
    body = profile.project["promotion_body"]
    members = (
        f"Lists of members from {short_body(profile.project)}"
        if body
        else (f"Lists of members and the name of the promotion body of {title(profile.project)}")
    )
    return (
        f"{members}, with the dates on which firms joined, so that members could be compared with "
        f"like firms of {profile.prefecture_names[profile.weight.dropna()['pref_code'].iloc[0]]}"
        f"{' and its neighbours' if len(profile.prefectures) > 1 else ''}."
    )


def unknowns(profile: Profile) -> list[str]:
    """List what is not known about the project, one sentence each."""
    project, found = profile.project, []
    if is_missing(project["firms"]):
        found.append(f"How many firms took part in {title(project)}.")
    else:
        found.append(
            f"Which firms the {format_number(project['firms'])} counted as of "
            f"{project['firms_as_of']} were."
        )
    if is_missing(project["promotion_body"]):
        found.append(f"Which body ran it for the {project['bureau']} bureau.")
    if project["first_fy_basis"] == "assumed from national term":
        found.append(
            f"When {title(project)} began: FY{project['first_fy']} is the first year of term "
            f"{profile.term.number}, taken because no document with another was found."
        )
    elif is_missing(project["first_fy"]):
        found.append(f"When {title(project)} began.")
    if project["in_official_count"] == "uncertain":
        found.append("Whether the ministry counted it among the projects of the term.")
    hidden = int(profile.paths["n_hidden"].max())
    if hidden:
        found.append(
            f"How {hidden} of its cells moved, because the publisher hides figures of theirs or "
            "nothing was made there in some year."
        )
    none = _fields_without_industry(profile)
    if none:
        found.append(
            f"What became of {listed(none)}, which no industry of manufacturing stands for."
        )
    return found


def fields_outside(fields: list[str], field_industries: pd.DataFrame) -> list[str]:
    """Return, as words, the fields that lie wholly or mostly outside manufacturing.

    Parameters
    ----------
    fields : list of str
    field_industries : DataFrame
        Table ``field_industries``: a field without an industry, or whose note says so.
    """
    own = field_industries[field_industries["field"].isin(fields)]
    is_outside = (own["jsic_rev12"] == "") | own["note"].str.contains(OUTSIDE)
    named = set(own.loc[is_outside, "field"])
    return [field.replace("-", " ") for field in fields if field in named]


def _fields_without_industry(profile: Profile) -> list[str]:
    table = profile.study.field_industries
    own = table[table["field"].isin(profile.project["fields"].split(";"))]
    mapped = set(own.loc[own["jsic_rev12"] != "", "field"])
    return [each for each in profile.project["fields"].split(";") if each not in mapped]


def portfolio_sentences(projects: pd.DataFrame) -> list[str]:
    """Say how the projects of the first term became those of the second, and who ran them."""
    links = portfolio.lineage(projects)
    kinds = links.drop_duplicates("successor")["kind"].value_counts()
    told = [f"{kinds[kind]} {KIND_WORDS[kind]}" for kind in portfolio.KINDS if kind in kinds]
    low = int((links["certainty"] == "low").sum())
    survival = portfolio.promotion_bodies(projects)["survival"].value_counts()
    bodies = [f"{count} {word}" for word, count in survival.items()]
    score = portfolio.completeness(projects)
    return [
        f"Of the projects of term 2, {listed(told)}; {low} of {len(links)} links are of low "
        "confidence.",
        f"Who ran a project before and after the change of term: {listed(bodies)}.",
        f"Of what a register would say, sources say {_percent(score.min())} to "
        f"{_percent(score.max())} % for a project and {_percent(score.mean())} % on average.",
    ]


def _percent(share: float) -> str:
    return format_number(100 * share)


def project_cards(study: Study) -> pd.DataFrame:
    """List the pages of projects with what they were about, for the cards of the overview.

    No figure stands on a card: a list of growth rates would be read as a ranking of effects.

    Returns
    -------
    DataFrame
        ``name``, ``href``, ``title``, ``answer``, ``verdict`` (none: a project is not judged).
    """
    rows = []
    for project in portfolio.with_page(study.projects).to_dict("records"):
        name = project["project_id"]
        outside = fields_outside(project["fields"].split(";"), study.field_industries)
        mark = (
            f" Wholly or mostly outside manufacturing, so hardly seen here: {listed(outside)}."
            if outside
            else ""
        )
        rows.append(
            {
                "name": name,
                "href": f"{register.page_name(name)}.html",
                "title": register.title_of(project),
                "answer": f"{project['bureau']}: {listed(field_names(project))}.{mark}",
                "verdict": None,
            }
        )
    return pd.DataFrame(rows)
