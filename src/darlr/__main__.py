"""`python -m darlr`."""

import sys

from darlr.cli.main import main

sys.exit(main())
