import sys

from peerview_ingest.main import main

sys.exit(main())
