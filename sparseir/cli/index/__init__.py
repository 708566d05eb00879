"""`sparseir index …`: build, change and look at an index."""

from __future__ import annotations

from sparseir.cli import arguments
from sparseir.cli.index import build, change, export, fit, look, query, snapshot

app = arguments.Group(help="Build, change and look at an index.")
app.command("build")(build.build_command)
app.command("add")(change.add_command)
app.command("delete")(change.delete_command)
app.command("compact")(change.compact_command)
app.command("fit")(fit.fit_command)
app.command("verify")(look.verify_command)
app.command("inspect")(look.inspect_command)
app.command("snapshot")(snapshot.snapshot_command)
app.command("restore")(snapshot.restore_command)
app.command("export")(export.export_command)
app.command("query")(query.query_command)
