"""What can be misused, and how we say it: what was given, what there is, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from fractions import Fraction


class AttributionError(Exception):
    """Base of all errors that this package raises on purpose."""


class SchemaError(AttributionError):
    """A column, table or grouping that does not exist was asked for."""

    @classmethod
    def no_column(cls, given: str, table: str, known: Iterable[str]) -> SchemaError:
        """Say which column was given and which there are."""
        names = list(known)
        return cls(f"`{given}` is not a column of `{table}`.{_hint(given, names)} It has: {', '.join(names)}.")

    @classmethod
    def twice(cls, given: str, table: str) -> SchemaError:
        """Two columns of one name: neither is chosen."""
        return cls(f"`{given}` is a column of `{table}` twice, and neither is chosen. Rename or drop one.")

    @classmethod
    def no_table(cls, given: str, known: Iterable[str]) -> SchemaError:
        """Say which table was given and which there are."""
        names = list(known)
        return cls(f"`{given}` is not a table of this ledger.{_hint(given, names)} It has: {', '.join(names)}.")


class LedgerError(AttributionError):
    """The ledger file cannot be used as asked."""

    @classmethod
    def other_version(cls, path: str, found: str, wanted: str) -> LedgerError:
        """Name both versions, so that the user knows which code wrote the file."""
        return cls(
            f"{path} was written by ledger schema {found}; this code reads schema {wanted}. "
            f"Load the sources again into a new file, or install the version that wrote it."
        )

    @classmethod
    def in_use(cls, path: str, why: str) -> LedgerError:
        """Say who holds the file."""
        return cls(f"{path} is open elsewhere: {why} Close it there, or open it with read_only=True.")

    @classmethod
    def cannot_open(cls, path: str, why: str) -> LedgerError:
        """Say why it is no ledger that can be opened."""
        return cls(f"{path} cannot be opened as a ledger: {why} Name a new file in an existing folder, or a ledger.")

    @classmethod
    def not_a_select(cls, given: str) -> LedgerError:
        """`Ledger.sql` admits one SELECT."""
        return cls(f"`sql` takes one SELECT statement; it was given {given}. Questions never change a ledger.")

    @classmethod
    def empty(cls, what: str, do: str) -> LedgerError:
        """Nothing to answer from."""
        return cls(f"this ledger has no {what}. {do}")


class SourceError(AttributionError):
    """A path or frame cannot be loaded at all."""

    @classmethod
    def not_found(cls, given: str) -> SourceError:
        """The path leads nowhere."""
        return cls(f"`{given}` matches no file. Give a file, a folder or a glob in quotes.")

    @classmethod
    def refused(cls, path: str, why: str, do: str) -> SourceError:
        """The file is of a kind that is never opened."""
        return cls(f"{path}: {why}. {do}")

    @classmethod
    def nothing_loaded(
        cls, given: Iterable[str], refused: Iterable[tuple[str, str]], passed_over: Iterable[str]
    ) -> SourceError:
        """No file of all that were given could be loaded; say why for each, a few at most."""
        reasons = [why for _, why in refused][:3]
        if passed_over := list(passed_over):
            reasons.append(f"{len(passed_over)} files are documents, not data; a file given by name is read")
        return cls(f"nothing was loaded from {', '.join(given)}. {' '.join(reasons) or 'There is no file in it.'}")

    @classmethod
    def unknown_source(cls, given: str, known: Iterable[str]) -> SourceError:
        """Name the source given and those there are."""
        names = list(known)
        return cls(f"`{given}` is not a source.{_hint(given, names)} There are: {', '.join(names)}.")

    @classmethod
    def unknown_format(cls, path: str, looks_like: str, nearest: str) -> SourceError:
        """No source recognises the file; say what it looks like and what to do."""
        return cls(
            f"{path}: no source recognises it. It looks like {looks_like}. {nearest} "
            f"`attribution inspect {path}` shows what is there; a column map (mapping=…) makes it loadable."
        )


class ConfigurationError(AttributionError):
    """A reviewed file (configuration, map, rule, price, contract) says something impossible."""

    @classmethod
    def at(cls, path: str, line: int | None, found: str, expected: str) -> ConfigurationError:
        """Point at the line, say what stands there and what was expected."""
        place = f"{path}:{line}" if line else path
        return cls(f"{place}: {found}; expected {expected}.")

    @classmethod
    def unknown_key(cls, path: str, line: int | None, given: str, known: Iterable[str]) -> ConfigurationError:
        """Name the misspelt key and the likely one."""
        names = list(known)
        place = f"{path}:{line}" if line else path
        return cls(f"{place}: `{given}` is not known here.{_hint(given, names)} Known: {', '.join(names)}.")

    @classmethod
    def unknown_rule(cls, place: str, given: str, known: Iterable[str]) -> ConfigurationError:
        """Name the rule type that no engine here checks, and every one that both do; it is never skipped."""
        names = list(known)
        return cls(
            f"{place}: `{given}` is no rule type that is checked here, and no rule is skipped."
            f"{_hint(given, names)} Supported: {', '.join(names)}."
        )

    @classmethod
    def unknown_suite(cls, given: str, known: Iterable[str]) -> ConfigurationError:
        """Name the suite asked for and those that come with the package."""
        names = list(known)
        return cls(
            f"`{given}` is neither a file nor a suite of this package.{_hint(given, names)} It has: {', '.join(names)}."
        )


class QuestionError(AttributionError):
    """A question was asked with an argument that has no meaning."""

    @classmethod
    def bad_argument(cls, name: str, given: object, expected: str) -> QuestionError:
        """Say what the argument was and what it may be."""
        return cls(f"`{name}` was {given!r}; expected {expected}.")

    @classmethod
    def no_price(cls, why: str) -> QuestionError:
        """The book has no such price; say what it has that is near."""
        return cls(f"{why}. `attribution prices list` shows what it has.")

    @classmethod
    def no_extra(cls, package: str, extra: str) -> QuestionError:
        """A package that comes with an extra is not installed."""
        return cls(f"this needs {package}, which is not installed. Install it: pip install 'attribution[{extra}]'.")

    @classmethod
    def unknown_fault(cls, given: str, known: Iterable[str]) -> QuestionError:
        """A fault of the sample company that does not exist was asked for."""
        names = list(known)
        return cls(f"`{given}` is not a fault of the sample company.{_hint(given, names)} It has: {', '.join(names)}.")

    @classmethod
    def would_overwrite(cls, folder: str, names: Iterable[str]) -> QuestionError:
        """Files of these names are there and may hold the user's own work."""
        return cls(f"{folder} already holds {', '.join(names)}; nothing was written. Add --force to write over them.")

    @classmethod
    def folder_not_empty(cls, path: str) -> QuestionError:
        """A sample is written into a new or empty folder only."""
        return cls(f"{path} is not an empty folder; nothing was written. Name a new folder, or empty this one.")


class AllocationError(AttributionError):
    """A cost cannot be split over teams as the rules say."""

    @classmethod
    def refused(cls, pool: str, found: str, expected: str) -> AllocationError:
        """Say what stands in the way and what is expected."""
        return cls(f"pool `{pool}`: {found}; expected {expected}.")

    @classmethod
    def unknown_method(cls, pool: str, given: str, known: Iterable[str]) -> AllocationError:
        """Name the method given and those there are."""
        names = list(known)
        return cls(f"pool `{pool}`: `{given}` is not a method.{_hint(given, names)} There are: {', '.join(names)}.")

    @classmethod
    def unknown_target(cls, pool: str, given: str, known: Iterable[str]) -> AllocationError:
        """Name the target given and those there are."""
        names = list(known)
        there = ", ".join(names) or "none"
        return cls(f"pool `{pool}`: `{given}` is no team or pool here.{_hint(given, names)} There are: {there}.")

    @classmethod
    def unknown_driver(cls, pool: str, given: str, known: Iterable[str]) -> AllocationError:
        """Name the driver given and those that are measured."""
        names = list(known)
        there = ", ".join(names) or "none"
        return cls(f"pool `{pool}`: `{given}` is not measured.{_hint(given, names)} Measured: {there}.")

    @classmethod
    def misses_hundred(cls, pool: str, total: Fraction) -> AllocationError:
        """Percentages that leave something over or charge something twice."""
        shown = str(total) if total.denominator == 1 else f"{float(total):.12g}"
        return cls(f"pool `{pool}`: its percentages make {shown}, not 100. Correct them; nothing is scaled in silence.")

    @classmethod
    def weighs_nothing(cls, pool: str, by: str) -> AllocationError:
        """All weights are zero; an even split is never guessed."""
        return cls(
            f"pool `{pool}`: every target weighs zero by {by}, so there is no share to give. "
            f"Choose another method, other targets, or state `fallback: even`."
        )

    @classmethod
    def leaks(cls, pools: Iterable[str], why: str) -> AllocationError:
        """A cost would never reach a team."""
        return cls(f"pools {', '.join(pools)}: {why}. Give each a path to a team.")

    @classmethod
    def singular(cls) -> AllocationError:
        """A reciprocal system without one solution."""
        return cls(
            "the reciprocal pools have no single solution: some serve only each other. Give each a path to a team."
        )

    @classmethod
    def no_method(cls, pool: str, known: Iterable[str]) -> AllocationError:
        """A cost stands in a pool that the rules do not name."""
        names = list(known)
        return cls(f"`{pool}` holds a cost and has no method.{_hint(pool, names)} Pools: {', '.join(names) or 'none'}.")


class PullError(AttributionError):
    """A provider's API or a gateway's database did not give what was asked for."""

    @classmethod
    def no_extra(cls, package: str) -> PullError:
        """Pulling needs packages that the base does not have."""
        return cls(f"pulling needs `{package}`, which is not installed. Install it: pip install 'attribution[pull]'.")

    @classmethod
    def no_key(cls, name: str, kind: str) -> PullError:
        """The admin key is read from the environment and from nowhere else."""
        return cls(f"the environment has no {name}. Set it to an admin key ({kind}); project keys are refused.")

    @classmethod
    def no_address(cls, name: str) -> PullError:
        """The address of a database is given, or in the environment."""
        return cls(f"no database was named. Give --dsn postgresql://reader@host/litellm, or set {name}.")

    @classmethod
    def refused(cls, url: str, status: int, name: str) -> PullError:
        """The provider refuses the key."""
        return cls(
            f"{url} answered {status}: the key in {name} may not read usage and cost. "
            f"Use an organization's admin key. Pages already written stay."
        )

    @classmethod
    def failed(cls, url: str, why: str) -> PullError:
        """The provider did not answer in the end; what is there stays, and the next pull goes on from it."""
        return cls(f"{url}: {why}. Pages already written stay; the same command goes on from there.")

    @classmethod
    def not_private(cls, url: str) -> PullError:
        """An admin key travels encrypted, or not beyond this machine."""
        return cls(f"{url} is not https. An admin key is sent over https, or to this machine only.")

    @classmethod
    def database(cls, why: str) -> PullError:
        """The database cannot be read as asked."""
        return cls(f"the database cannot be read: {why} Check the address (--dsn) and the right to read the table.")


def _hint(given: str, known: list[str]) -> str:
    near = difflib.get_close_matches(given, known, n=1, cutoff=0.6)
    return f" Did you mean `{near[0]}`?" if near else ""
