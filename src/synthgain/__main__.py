"""`python -m synthgain` is the console script."""

from synthgain.cli import main

main()
