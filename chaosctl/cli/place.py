"""The options of commands that also work on a deployment which is not ours: where it is, in one line."""

from __future__ import annotations

from typing import Annotated

import typer

Context = Annotated[
    str | None,
    typer.Option("--context", metavar="NAME", help="A context of your kubeconfig, without AWS: --target context."),
]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", metavar="NAME", help="Namespace of the app, instead of the setting.")
]
Selector = Annotated[
    str | None, typer.Option("--selector", "-l", metavar="LABELS", help="Labels of the app's pods, as for kubectl.")
]
