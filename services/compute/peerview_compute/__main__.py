"""``python -m peerview_compute``"""

from peerview_compute.main import main

main()
