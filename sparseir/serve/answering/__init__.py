"""From what a request asks to what it is answered: checked, searched, explained; no routes."""
