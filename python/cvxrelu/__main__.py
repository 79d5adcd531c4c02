"""`python -m cvxrelu`."""

import sys

from .cli import main

sys.exit(main())
