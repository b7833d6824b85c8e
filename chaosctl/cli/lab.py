"""chaosctl lab: the embedded AWS on this machine, by itself."""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from chaosctl.cli import lock
from chaosctl.cli.command import command
from chaosctl.cli.session import Session
from chaosctl.errors import Busy, UsageProblem
from chaosctl.lab import layout
from chaosctl.lab.lab import Lab
from chaosctl.stages.kubeconfig import remove_entry
from chaosctl.ui.render import Report, Table

app = typer.Typer(no_args_is_help=True, help="The lab on this machine: start, stop, look at it.")

TAIL = 50  # lines of a log that are shown unless asked for more


def _lab(session: Session) -> Lab:
    return Lab(layout.default(), session.settings, session.emit)


@app.command()
@command
def start(session: Session) -> Report:
    """Start the lab, or what is missing of it. `up` does that by itself."""
    lab = _lab(session)
    with session.lock():
        lab.start()
    return Report({"endpoint": lab.aws.url}, (f"The lab's AWS answers at {lab.aws.url}",))


@app.command()
@command
def stop(session: Session) -> Report:
    """Remove the lab and all that was deployed to it from this machine."""
    session.confirm("Remove the lab and everything in it?", consequence="what was deployed to it is lost")
    with session.lock():
        lab = _lab(session)
        lab.stop()
        remove_entry(session.settings)
        for environment in lab.layout.environments.glob("*"):
            with suppress(Busy), lock.held(environment, "chaosctl lab stop"):
                pass  # whoever lets go of an environment of which only the lock is left removes that
    return Report({"left": []}, ("Nothing of the lab is left on this machine.",))


@app.command()
@command
def status(session: Session) -> Report:
    """Show the lab's processes, its memory and what it made on this machine."""
    found = _lab(session).status()
    state = f"answers at {found.endpoint}" if found.running else "does not run"
    programs = Table(("program", "state"), [(name, how) for name, how in sorted(found.programs.items())])
    blocks: list[str | Table] = [f"The lab in {found.root} {state}; it takes {found.memory / 1e9:.2f} GB of memory."]
    if found.programs:
        blocks.append(programs)
    if found.left and not found.running:
        blocks.append("Left of an earlier lab (`chaosctl lab stop` removes it):\n" + "\n".join(found.left))
    return Report(
        {
            "root": found.root,
            "running": found.running,
            "endpoint": found.endpoint,
            "programs": dict(found.programs),
            "memory_bytes": found.memory,
            "left": list(found.left),
        },
        tuple(blocks),
    )


@app.command()
@command
def env(session: Session) -> Report:
    """Print what a shell needs to use any AWS client on the lab: `eval "$(chaosctl lab env)"`."""
    variables = dict(session.context().target.aws_env)
    lines = [f"export {n}={shlex.quote(v)}" if v else f"unset {n}" for n, v in variables.items()]
    return Report({name: value for name, value in variables.items() if value}, ("\n".join(lines),))


@app.command()
@command
def logs(
    session: Session,
    program: Annotated[str | None, typer.Argument(help="One of its programs; without it they are listed.")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many lines from the end.")] = TAIL,
) -> Report:
    """Show the log of one of the lab's programs."""
    files = _lab(session).logs()
    if program is None:
        rows = [(name, str(path)) for name, path in files.items()]
        return Report({"logs": dict(files)}, (Table(("program", "file"), rows),))
    if program not in files:
        raise UsageProblem(
            f"the lab has no log of {program}",
            code="LAB-NO-LOG",
            why=f"there are: {', '.join(files) or 'none, the lab has not run'}",
            remedy="run `chaosctl lab logs` for the list",
        )
    text = _tail(files[program], lines)
    return Report({"program": program, "lines": text.splitlines()}, (text,))


def _tail(file: Path, lines: int) -> str:
    return "\n".join(file.read_text(errors="replace").splitlines()[-lines:])
