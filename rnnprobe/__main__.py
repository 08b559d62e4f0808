"""`python -m rnnprobe`."""

from rnnprobe.cli import main

main()
