"""Row `accept`: mails taken durably a second, beside an aiosmtpd that discards or writes files."""

from __future__ import annotations

import secrets
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench import sender
from bench.mails import INTAKE, customer, letter
from bench.measure import (
    FOLDER,
    Plan,
    Sample,
    Server,
    Table,
    busy,
    ratio,
    run_json,
    server,
    spread,
)
from bench.world import world

CONNECTIONS = (1, 20)


def run(plan: Plan) -> Table:
    """Measure all servers in turn, `plan.rounds` times."""
    table = Table(
        f"accept: mails of 4 KB answered 250 a second ({busy()})",
        ("server", "connections", "mails/s", "CPU ms/mail", "x files", "x discard"),
    )
    samples: dict[tuple[str, int], list[Sample]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=FOLDER)))
        home = stack.enter_context(world(0))
        servers = {
            "sportello": stack.enter_context(server("bench.server", "mail", str(home))),
            "files": stack.enter_context(server("bench.server", "files", str(folder))),
            "discard": stack.enter_context(server("bench.server", "discard")),
        }
        for one in servers.values():
            _sample(one, folder, 20, 40)
        for _ in range(plan.rounds):
            for name, one in servers.items():
                for connections in CONNECTIONS:
                    sample = _sample(one, folder, connections, plan.mails)
                    samples.setdefault((name, connections), []).append(sample)
    for (name, connections), taken in samples.items():
        rates = {kind: [one.rate for one in samples[kind, connections]] for kind in servers}
        table.lines.append(
            (
                name,
                str(connections),
                spread(rates[name]),
                spread([one.cost for one in taken], 2),
                f"{ratio(rates[name], rates['files']):.2f}",
                f"{ratio(rates[name], rates['discard']):.2f}",
            )
        )
        table.values[f"{name}-{connections}"] = {
            "rate": rates[name],
            "cpu_ms": [one.cost for one in taken],
        }
    table.notes.append(
        "files: aiosmtpd, one fsynced file and folder a mail; discard: keeps nothing."
    )
    return table


def _sample(one: Server, folder: Path, connections: int, mails: int) -> Sample:
    batch = secrets.token_hex(4)
    path = folder / "letters.json"
    sender.write(path, [letter(f"{batch}.{n}", customer(n)) for n in range(mails)])
    before = one.cpu()
    seconds = run_json("bench.sender", str(one.port), str(connections), str(path), INTAKE)
    return Sample(mails, seconds, one.cpu() - before)
