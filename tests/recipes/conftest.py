"""Property tests here have no deadline: on a busy machine the clock says nothing about behaviour."""

from hypothesis import settings

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
