"""`python -m sparseir.cli` is the command `sparseir`."""

from sparseir.cli import main

main()
