"""What pgvector's own tests import from a `conftest` that their source archive lacks."""

import numpy

__all__ = ["numpy"]
