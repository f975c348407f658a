"""Every read through every stack comes to what it comes to at the bare store."""

from __future__ import annotations

import pytest

from tests.contracts._objects import CONTENTS, DATA
from tests.contracts._outcomes import differences, perform, perform_async
from tests.contracts._stacks import CACHING_STACKS, STACKS

pytestmark = pytest.mark.timeout(90)
every_stack = pytest.mark.parametrize("stack", STACKS)
every_caching_stack = pytest.mark.parametrize("stack", CACHING_STACKS)


@every_stack
def test_a_cold_stack_answers_as_the_store(library, stack):
    # A stack of its own for each call, so that none finds what another left in a cache.
    calls = library.cold_calls(stack)
    found = {name: perform(library.cold(stack), call) for name, call in calls.items()}
    assert not (different := differences(calls, library.expected, found)), "\n".join(different)


@every_caching_stack
def test_a_warm_stack_answers_as_the_store(library, stack):
    calls, store = library.warm_calls(stack), library.warm(stack)
    found = {name: perform(store, call) for name, call in calls.items()}
    assert not (different := differences(calls, library.expected, found)), "\n".join(different)


@every_stack
async def test_a_cold_stack_answers_async_as_the_store(library, stack):
    calls = library.cold_calls(stack)
    found = {name: await perform_async(library.cold(stack), call) for name, call in calls.items()}
    assert not (different := differences(calls, await library.expected_async(), found)), "\n".join(different)


@every_caching_stack
async def test_a_warm_stack_answers_async_as_the_store(library, stack):
    calls, store = library.warm_calls(stack), library.warm(stack)
    found = {name: await perform_async(store, call) for name, call in calls.items()}
    assert not (different := differences(calls, await library.expected_async(), found)), "\n".join(different)


@every_caching_stack
def test_what_only_a_cache_can_answer_is_right_all_the_same(library, stack):
    store, content = library.warm(stack), CONTENTS[DATA]
    tags = f'"other", {library.meta["e_tag"]}'
    assert bytes(store.get(DATA, options={"range": {"suffix": 7}}).buffer()) == content[-7:]
    assert bytes(store.get(DATA, options={"if_match": tags}).buffer()) == content
