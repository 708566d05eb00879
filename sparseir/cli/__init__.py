"""The command line: parses, calls, prints. Nothing else of the package prints or exits."""
