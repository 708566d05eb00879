"""`sparseir completion`: what lets a shell complete commands and options."""

from __future__ import annotations

from typing import Annotated

from sparseir.cli.arguments import Argument, BadParameter, Command, Group, leaves

_SHELLS = ("bash", "zsh", "fish")


def completion_command(shell: Annotated[str, Argument(help="bash, zsh or fish.")]) -> None:
    """Print a script that completes commands, options and files in a shell.

    examples:
      sparseir completion bash > ~/.local/share/bash-completion/completions/sparseir
      sparseir completion zsh >> ~/.zshrc
      sparseir completion fish > ~/.config/fish/completions/sparseir.fish
    """
    from sparseir.cli.app import command_tree

    if shell not in _SHELLS:
        raise BadParameter(f"SHELL is {shell!r}; expected {', '.join(_SHELLS)}")
    tree = command_tree()
    print(_fish(tree) if shell == "fish" else _bash(tree) if shell == "bash" else _zsh(tree))


def _words(tree: Group) -> dict[str, list[str]]:
    """What can follow the words of each command: names of commands, or options."""
    found = {"": tree.names}
    for name, entry in tree.commands.items():
        if isinstance(entry, Group):
            found[name] = entry.names
    for words, command in leaves(tree):
        found[" ".join(words)] = _options(command)
    return found


def _options(command: Command) -> list[str]:
    return [opt for parameter in command.params if not parameter.is_argument for opt in parameter.opts] + ["--help"]


def _bash(tree: Group) -> str:
    groups = [name for name, entry in tree.commands.items() if isinstance(entry, Group)]
    cases = "\n".join(f"    '{path}') words='{' '.join(words)}' ;;" for path, words in _words(tree).items())
    return f"""_sparseir() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} path='' words=''
  [ "$COMP_CWORD" -gt 1 ] && path=${{COMP_WORDS[1]}}
  case " {" ".join(groups)} " in
    *" $path "*) [ "$COMP_CWORD" -gt 2 ] && path="$path ${{COMP_WORDS[2]}}" ;;
  esac
  case "$path" in
{cases}
  esac
  case "$current,$words" in
    -*,*|*,[!-]*) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
  esac
}}
complete -o default -F _sparseir sparseir"""


def _zsh(tree: Group) -> str:
    return f"autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n{_bash(tree)}"


def _fish(tree: Group) -> str:
    lines = []
    for name, entry in tree.commands.items():
        lines.append(f"complete -c sparseir -n __fish_use_subcommand -a {name} -d {_quoted(entry.help)}")
        for inner, command in entry.commands.items() if isinstance(entry, Group) else ():
            seen = f"'__fish_seen_subcommand_from {name}'"
            lines.append(f"complete -c sparseir -n {seen} -a {inner} -d {_quoted(command.help)}")
    for words, command in leaves(tree):
        seen = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in words)
        for parameter in command.params:
            for opt in () if parameter.is_argument else parameter.opts:
                long = f"-l {opt[2:]}" if opt.startswith("--") else f"-s {opt[1:]}"
                takes = "" if parameter.is_flag else " -r"
                lines.append(f"complete -c sparseir -n '{seen}' {long}{takes} -d {_quoted(parameter.how.help)}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    line = text.splitlines()[0] if text else ""
    return "'" + line.replace("\\", "\\\\").replace("'", "\\'") + "'"
