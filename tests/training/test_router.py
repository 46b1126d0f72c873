"""A wrong turn is a wrong adapter: the router must find a sentence's task, and without peeking at its neighbours."""

from __future__ import annotations

import random

import pytest
import torch
from tiny_neo import tiny_neo

from labkit.training.router import Router


class Numbers:
    """A tokenizer for texts that are numbers."""

    def __call__(self, texts, add_special_tokens=True):
        return {"input_ids": [[int(word) for word in text.split()] for text in texts]}


def texts(task: int, n: int, seed: int) -> list[str]:
    """Words that all tasks have, and in the middle one that names the task."""
    rng = random.Random(f"{task} {seed}")
    words = [[*rng.choices(range(8), k=rng.randint(3, 6)), 90 + task, rng.randrange(8)] for _ in range(n)]
    return [" ".join(map(str, some)) for some in words]


@pytest.fixture(scope="module")
def router():
    router = Router(tiny_neo(), Numbers())
    for task in range(3):
        router.add(texts(task, 200, seed=0))
    return router


def test_it_tells_three_tasks_apart_by_one_word_in_many(router):
    """Plain distance finds fewer: most of what differs is not the task."""
    right, plain = [], []
    for task in range(3):
        some = texts(task, 100, seed=1)
        right += (router.route(some) == task).tolist()
        plain += (torch.cdist(router.embed(some), torch.stack(router.means)).argmin(1) == task).tolist()
    assert sum(right) > 220 and sum(right) > sum(plain) + 50


def test_padding_and_neighbours_count_nothing(router):
    some = texts(1, 40, seed=3)
    alone = torch.cat([router.embed([text]) for text in some])
    torch.testing.assert_close(router.embed(some), alone, atol=1e-4, rtol=1e-4)


def test_the_covariance_is_that_within_tasks(router):
    """With what differs between them counted in, the very direction that tells tasks apart would count least."""
    points = [router.embed(texts(task, 200, seed=0)) for task in range(3)]
    within = torch.stack([p.mT.cov(correction=0) for p in points]).mean(0)
    torch.testing.assert_close(router.scatter / router.n, within, atol=1e-4, rtol=1e-3)
