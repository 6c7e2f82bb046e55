from collections.abc import Iterator

import pytest

from ratchet.errors import InputError
from ratchet.generation.engine import PROMPT_TOO_LONG, Output, SampledGroup
from ratchet.generation.prompt_room import PromptRoom


def make_groups(count: int, too_long: int) -> Iterator[SampledGroup]:
    """`count` groups, the last `too_long` of them refused, each longer than the one before."""
    for at in range(count):
        if at < count - too_long:
            yield SampledGroup(f"p{at}", f"p{at}", "?", 5, (Output("4", "stop", 1),))
        else:
            yield SampledGroup(
                f"p{at}", f"p{at}", "?", 100 + at, (Output("", "error", 0),), PROMPT_TOO_LONG, 64
            )


@pytest.mark.parametrize("too_long", [0, 1])
def test_as_many_prompts_as_allowed_may_have_no_room(too_long: int) -> None:
    room = PromptRoom("eval", "dev", allowed=0.01, total=100)
    assert len(list(room.checked(make_groups(100, too_long)))) == 100


def test_one_more_stops_and_names_the_longest_its_tokens_and_the_limit() -> None:
    room = PromptRoom("eval", "dev", allowed=0.01, total=100)
    with pytest.raises(InputError) as stopped:
        list(room.checked(make_groups(100, too_long=20)))
    message = str(stopped.value)
    assert message.startswith("2 of the 100 prompts of dev leave no room")
    assert "in the engine's 64 tokens, more than eval.max_too_long = 0.01 allows" in message
    assert "of problem p81, has 181 tokens. Raise engine.max_model_len" in message


def test_those_of_finished_shards_count_when_a_run_goes_on() -> None:
    room = PromptRoom("sampler", "train", allowed=0.01, total=100, too_long=1)
    with pytest.raises(InputError, match=r"2 of the 100 prompts of train .* sampler.max_too_long"):
        list(room.checked(make_groups(10, too_long=1)))
