"""``cryptml tenants``: who may ask a service, how much, and with which token."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryptml.cli.console import out, print_json, remark, say
from cryptml.cli.options.groups import with_option_groups
from cryptml.cli.output_files import check_new_file, write_private
from cryptml.cli.verbs import create_group
from cryptml.errors import SettingError
from cryptml.profiler.plan.budgets import budget_of, budgets_of
from cryptml.reports.table import bytes_text, plain_table

if TYPE_CHECKING:
    from cryptml_server.operations.administration import Administration

app = create_group("Add, list and revoke those who may ask a service.")

Name = Annotated[str, typer.Argument(help="Of the tenant: small letters, digits and hyphens.")]

Data = Annotated[Path | None, typer.Option("--data", help="The service's data folder; its own default if not given.")]

Address = Annotated[
    str | None, typer.Option("--database", help="The service's database, where it is not in the data folder.")
]

MANY = partial(typer.Option, min=1, max=1 << 50)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

TokenOut = Annotated[
    Path | None,
    typer.Option("--out", help="New file for the token, readable by its owner alone; printed if not given."),
]


@dataclass(frozen=True)
class QuotaOptions:
    """A tenant's quotas, by their names."""

    key_bytes: Annotated[int | None, MANY(help="Bytes of all stored evaluation keys together.")] = None
    keys: Annotated[int | None, MANY(help="Stored evaluation keys.")] = None
    concurrent_evaluations: Annotated[int | None, MANY(help="Evaluations that wait or run at once.")] = None
    daily_evaluations: Annotated[int | None, MANY(help="Evaluations of one day (UTC).")] = None
    segment_queries: Annotated[
        int | None, MANY(help="Evaluations of any one server segment, ever, without a budget of its own.")
    ] = None
    jobs: Annotated[int | None, MANY(help="Jobs kept at once, those that are done included.")] = None
    daily_upload_bytes: Annotated[int | None, MANY(help="Bytes of evaluation keys sent in one day (UTC).")] = None

    def given(self) -> dict[str, int]:
        """Return those that were given."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@app.command("add")
@with_option_groups
def add(
    name: Name,
    quotas: QuotaOptions,
    token_out: TokenOut = None,
    data: Data = None,
    database: Address = None,
    json: Json = False,
) -> None:
    """Add a tenant and print its token, once: only a digest of it is kept."""
    _check_place(token_out)
    with _opened(data, database, new=True) as administration:
        added = administration.add(name, quotas.given())
    _give_token(name, added.token, token_out, json=json, tenant=added.tenant.to_json())


@app.command("list")
def list_tenants(data: Data = None, database: Address = None, json: Json = False) -> None:
    """List tenants with their quotas and what they have used of them."""
    with _opened(data, database) as administration:
        entries = [each.to_json() for each in administration.tenants()]
    if json:
        print_json({"tenants": entries})
        return
    if not entries:
        say("no tenants yet; cryptml tenants add NAME admits one")
        return
    columns = [
        ("tenant", "left"),
        ("since", "left"),
        ("state", "left"),
        ("today", "right"),
        ("at once", "right"),
        ("keys", "right"),
        ("bytes of keys", "right"),
        ("queries a segment", "right"),
    ]
    out.print(plain_table("Tenants", columns, [_row(entry) for entry in entries]))


@app.command("change")
@with_option_groups
def change(
    name: Name,
    quotas: QuotaOptions,
    data: Data = None,
    database: Address = None,
    json: Json = False,
) -> None:
    """Give a tenant other quotas; what is not given stays."""
    with _opened(data, database) as administration:
        tenant = administration.change(name, quotas.given())
    if json:
        print_json({"tenant": tenant.to_json()})
    else:
        say(f"tenant {name} has other quotas from now on")


@app.command("budget")
def budget(
    name: Name,
    model: Annotated[str, typer.Option(help="Name of the served model.")],
    profile: Annotated[
        Path | None, typer.Option(help="A report of split-profiler run: budgets below what recovers each segment.")
    ] = None,
    share: Annotated[float, typer.Option(help="With --profile: share of those queries that is allowed.")] = 0.5,
    spot_checks: Annotated[
        int,
        typer.Option(
            min=0,
            max=256,
            help="With --profile: spot checks of the bundle, whose answers a client has without asking; subtracted.",
        ),
    ] = 0,
    segment: Annotated[str | None, typer.Option(help="START-STOP, as split-profiler names segments.")] = None,
    queries: Annotated[int | None, typer.Option(min=0, max=1 << 50, help="With --segment: how many, ever.")] = None,
    no_bound: Annotated[
        bool, typer.Option("--no-bound", help="With --segment: none of its own; the tenant's --segment-queries count.")
    ] = False,
    data: Data = None,
    database: Address = None,
    json: Json = False,
) -> None:
    """Bound how often a tenant may ask single segments, ever: below the number of answers that expose a segment.

    A budget is of one segment of one model's split: another split has other segments, and wants budgets of its own.
    """
    if (profile is None) == (segment is None) or (segment is None) != (queries is None and not no_bound):
        raise SettingError("give either --profile, or --segment with --queries or --no-bound")
    if queries is not None and no_bound:
        raise SettingError("--queries and --no-bound contradict each other; give one of them")
    budgets = budget_of(segment, model, queries) if segment is not None else {}
    budgets |= budgets_of(profile, model, share, spot_checks) if profile is not None else {}
    with _opened(data, database) as administration:
        found = administration.set_budgets(name, model, budgets)
    if json:
        print_json({"tenant": name, "budgets": found})
        return
    columns = [("model", "left"), ("segment", "left"), ("queries", "right"), ("budget", "right")]
    rows = [
        (each["model"], f"{each['start']}-{each['stop']}", f"{each['used']:,}", _number(each["budget"]))
        for each in found
    ]
    out.print(plain_table(f"Queries of tenant {name}", columns, rows))
    remark(
        "a budget bounds only what is served under that model's name: cryptml doctor BUNDLE names those that bound nothing"
    )


@app.command("rotate")
def rotate(
    name: Name,
    grace_hours: Annotated[
        float, typer.Option(min=0, max=8760, help="For which the token before still works as well.")
    ] = 0.0,
    token_out: TokenOut = None,
    data: Data = None,
    database: Address = None,
    json: Json = False,
) -> None:
    """Give a tenant another token and print it, once; the one before stops working."""
    _check_place(token_out)
    with _opened(data, database) as administration:
        token = administration.rotate(name, grace_seconds=grace_hours * 3600)
    _give_token(name, token, token_out, json=json)


@app.command("revoke")
def revoke(name: Name, data: Data = None, database: Address = None) -> None:
    """Answer a tenant no more; a service that runs refuses it at once, and deletes its keys within minutes."""
    with _opened(data, database) as administration:
        administration.revoke(name)
    say(f"tenant {name} is not answered any more; a service deletes its keys within minutes")


def _opened(data: Path | None, database: str | None, *, new: bool = False) -> AbstractContextManager[Administration]:
    from cryptml_server.operations.administration import administered

    return administered(data, database, new=new, notify=remark)


def _check_place(out_file: Path | None) -> None:
    """Refuse a place for a token before there is one, which is shown once."""
    if out_file is not None:
        check_new_file(out_file, "--out", "token", force=False, replaceable=False)


def _give_token(name: str, token: str, out_file: Path | None, *, json: bool, **more: Any) -> None:
    if out_file is None:
        _print_token(name, token, json=json, **more)
        return
    write_private(out_file, f"{token}\n".encode())
    if json:
        print_json({"name": name, "token_file": str(out_file), **more})
    else:
        say(f"the token of tenant {name} is written to {out_file}, which you alone can read; give it to the client")


def _print_token(name: str, token: str, *, json: bool, **more: Any) -> None:
    if json:
        print_json({"name": name, "token": token, **more})
        return
    out.print(token, markup=False, highlight=False, soft_wrap=True)
    remark(
        f"this is the token of tenant {name}; it is shown once. Give it to the client as CRYPTML_TOKEN or --token-file"
    )


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    quotas, used = entry["quotas"], entry["used"]
    since = datetime.fromtimestamp(entry["created"], UTC).strftime("%Y-%m-%d %H:%M")
    return (
        entry["name"],
        since,
        "revoked" if entry["revoked"] else "active",
        f"{used['today']:,} of {quotas['daily_evaluations']:,}",
        f"{quotas['concurrent_evaluations']:,}",
        f"{used['keys']:,} of {quotas['keys']:,}",
        f"{bytes_text(used['key_bytes'])} of {bytes_text(quotas['key_bytes'])}",
        _number(quotas["segment_queries"])
        + (", own budgets" if any(each["budget"] is not None for each in used["queries"]) else ""),
    )


def _number(value: int | None) -> str:
    return "no bound" if value is None else f"{value:,}"
