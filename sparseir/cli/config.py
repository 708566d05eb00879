"""`sparseir config list | show | diff`."""

from __future__ import annotations

from typing import Annotated

from sparseir.cli import arguments

app = arguments.Group(help="Look at recipes.")

Recipe = Annotated[
    str, arguments.Argument(help="A recipe: a name of `sparseir config list`, a YAML file, or the folder of a model.")
]
Json = Annotated[bool, arguments.Option("--json", help="One JSON object.")]


@app.command("list")
def list_command(json: Json = False) -> None:
    """Name the recipes that ship, with a line on each.

    examples:
      sparseir config list
    """
    from sparseir.cli.output.console import emit_json
    from sparseir.config.recipes import describe, recipe_names, recipe_path

    names = recipe_names()
    if json:
        emit_json({"recipes": [{"name": n, "about": describe(n), "path": str(recipe_path(n))} for n in names]})
        return
    width = max(map(len, names))
    for name in names:
        print(f"{name:{width}}  {describe(name)}")


@app.command("show")
def show_command(
    config: Recipe,
    overrides: Annotated[
        list[str] | None, arguments.Option("--set", metavar="SECTION.KEY=VALUE", help="Override one value; repeatable.")
    ] = None,
    json: Annotated[bool, arguments.Option("--json", help="One JSON object instead of YAML.")] = False,
) -> None:
    """Check a recipe and print it in full, as it would run.

    examples:
      sparseir config show scifact --set train.steps=100
    """
    from sparseir.cli.options.recipes import chosen_recipe
    from sparseir.cli.output.console import emit_json
    from sparseir.config.loader import to_mapping, to_yaml

    recipe = chosen_recipe(config, overrides)
    if json:
        emit_json(to_mapping(recipe))
    else:
        print(to_yaml(recipe), end="")


@app.command("diff")
def diff_command(first: Recipe, second: Recipe, json: Json = False) -> None:
    """Print the keys in which two recipes differ.

    examples:
      sparseir config diff demo scifact
    """
    from sparseir.cli.output.console import emit_json, note
    from sparseir.config.loader import read_yaml
    from sparseir.config.recipe import differences
    from sparseir.config.recipes import recipe_path

    paths = [recipe_path(given) for given in (first, second)]
    found = differences(*map(read_yaml, paths))
    if json:
        emit_json({"first": str(paths[0]), "second": str(paths[1]), "differences": found})
        return
    if not found:
        note("no key differs")
    for key, (old, new) in found.items():
        print(f"{key}: {_yaml(old)} → {_yaml(new)}")


def _yaml(value: object) -> str:
    """A value as it stands in a recipe."""
    import yaml

    return str(yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=float("inf"))).split("\n")[0]
