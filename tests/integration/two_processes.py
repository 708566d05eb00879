"""Run under torchrun by test_two_processes.py: trains the recipe in argv[1] to argv[2] and prints the last figures."""

from __future__ import annotations

import json
import os
import sys

from sparseir.config.recipe import load_recipe
from sparseir.train import train

if __name__ == "__main__":
    result = train(load_recipe(sys.argv[1]), sys.argv[2])
    if os.environ.get("RANK", "0") == "0":
        print("FIGURES " + json.dumps(dict(result.figures)))
