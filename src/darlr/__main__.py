"""`python -m darlr`."""

import sys

from darlr.cli import main

sys.exit(main())
