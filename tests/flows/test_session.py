import errno

import pytest
from prefect.client.schemas.objects import State
from prefect.states import Failed

from flows.session import passes_with_time
from ratchet.errors import InputError
from ratchet.generation.engine import EngineDied
from trainers.launch.process import TrainerDied, TrainerFailed


def failed_with(error: Exception) -> State:
    return Failed(data=error)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (EngineDied("gone"), True),
        (TrainerDied("killed"), True),
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (TrainerFailed("bad loss"), False),
        (InputError("bad input"), False),
    ],
)
def test_only_what_can_pass_is_tried_again(error: Exception, again: bool) -> None:
    assert passes_with_time(None, None, failed_with(error)) is again
