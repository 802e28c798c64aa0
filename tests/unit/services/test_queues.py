from __future__ import annotations

import threading

from edge_runtime.services.queues import BoundedQueue, Handover


def test_offer_keeps_the_newest_and_hands_back_the_oldest() -> None:
    """The displaced item still needs a verdict, so it is returned, not swallowed."""
    queue = BoundedQueue("q", 2)
    assert [queue.offer(n) for n in (1, 2, 3)] == [None, None, 1]
    assert (queue.get(0), queue.get(0), queue.dropped) == (2, 3, 1)


def test_try_put_refuses_when_full() -> None:
    """The refused item stays with the producer; the refusal is counted."""
    queue = BoundedQueue("q", 1)
    assert queue.try_put(1)
    assert not queue.try_put(2)
    assert (len(queue), queue.dropped) == (1, 1)


def test_what_waits_can_be_looked_at_and_stays() -> None:
    """Oldest first; nothing after the timeout."""
    queue = BoundedQueue("q", 2)
    assert queue.waiting(0) == ()
    for number in (1, 2):
        queue.try_put(number)
    assert queue.waiting(0) == (1, 2)
    assert len(queue) == 2


def test_get_gives_up_after_the_timeout() -> None:
    """An idle stage comes round again."""
    assert BoundedQueue("q", 1).get(0.001) is None


def test_a_waiting_producer_is_woken_by_the_consumer() -> None:
    """Back-pressure: the folder waits until the inspection has taken a part."""
    queue = BoundedQueue("q", 1)
    queue.try_put(1)
    has_room = []
    producer = threading.Thread(target=lambda: has_room.append(queue.wait_for_room(60)))
    producer.start()
    queue.get(0)
    producer.join(60)
    assert has_room == [True]


def test_a_batch_takes_what_is_there_up_to_its_size() -> None:
    """Group commit: one transaction for all that came together, in order."""
    queue = BoundedQueue("q", 10)
    for number in range(5):
        queue.try_put(number)
    assert queue.get_batch(3, 0, 0) == [0, 1, 2]
    assert queue.get_batch(3, 0, 0) == [3, 4]
    assert queue.get_batch(3, 0, 0) == []


def test_what_is_picked_and_what_is_given_up_leave_the_queue_and_the_rest_keeps_its_order() -> None:
    """The chooser sees everything that waits, oldest first; only what it gives up counts as dropped."""
    queue = BoundedQueue("q", 5)
    for number in range(5):
        queue.offer(number)
    seen = []
    picked = queue.pick(lambda waiting: seen.append(waiting) or (4, (0, 2)), 0)
    assert (seen, picked.item, picked.given_up) == ([(0, 1, 2, 3, 4)], 4, (0, 2))
    assert ([queue.get(0), queue.get(0), queue.get(0)], queue.dropped) == ([1, 3, None], 2)


def test_picking_from_an_empty_queue_asks_nobody() -> None:
    """There is nothing to choose from."""
    picked = BoundedQueue("q", 1).pick(lambda _: (0, ()), 0.001)
    assert (picked.item, picked.given_up) == (None, ())


def test_what_is_cleared_counts_as_dropped() -> None:
    """Nothing disappears without a figure."""
    queue = BoundedQueue("q", 3)
    queue.offer(1)
    queue.clear()
    assert (len(queue), queue.dropped) == (0, 1)


def test_a_handover_keeps_order_and_drops_nothing() -> None:
    """What found no room goes before what comes later."""
    queue = BoundedQueue("q", 1)
    handover = Handover(queue)
    for number in range(4):
        handover.send(number)
    taken = [queue.get(0)]
    while not handover.flush(0):
        taken.append(queue.get(0))
    taken.append(queue.get(0))
    assert (taken, queue.dropped) == ([0, 1, 2, 3], 0)


def test_put_waits_for_room_and_gives_up_in_time() -> None:
    """A full queue refuses without counting: the producer still has the item."""
    queue = BoundedQueue("q", 1)
    assert queue.put(1, 0)
    assert not queue.put(2, 0.001)
    assert (len(queue), queue.dropped) == (1, 0)


def test_what_is_put_quietly_wakes_nobody_and_keeps_its_place() -> None:
    """The consumer finds it when it next looks, or with the next item that does wake it."""
    queue = BoundedQueue("q", 3)
    taken, waits = [], threading.Event()

    def consume() -> None:
        waits.set()
        taken.extend(queue.get_batch(3, 60, 0))

    consumer = threading.Thread(target=consume)
    consumer.start()
    waits.wait(60)
    handover = Handover(queue)
    for number in (1, 2):
        handover.send(number, quietly=True)
    handover.send(3)
    consumer.join(60)
    while len(queue):  # the consumer had not begun to wait when the first came
        taken.extend(queue.get_batch(3, 0, 0))
    assert taken == [1, 2, 3]


def test_a_quiet_item_that_finds_no_room_goes_before_what_comes_later() -> None:
    """Nothing is dropped, and nothing overtakes."""
    queue = BoundedQueue("q", 1)
    handover = Handover(queue)
    for number in range(3):
        handover.send(number, quietly=number != 1)
    taken = []
    while (item := queue.get(0)) is not None:
        taken.append(item)
        handover.flush(0)
    assert (taken, queue.dropped) == ([0, 1, 2], 0)


def test_threads_that_share_a_handover_lose_nothing_and_keep_their_order() -> None:
    """Each item comes out once, and those of one thread in the order in which it sent them."""
    queue: BoundedQueue[tuple[int, int]] = BoundedQueue("q", 4)
    handover = Handover(queue)

    def send(thread: int) -> None:
        for number in range(200):
            handover.send((thread, number))

    threads = [threading.Thread(target=send, args=(thread,)) for thread in range(3)]
    for each in threads:
        each.start()
    found = []
    while len(found) < 600:
        handover.flush(0)
        item = queue.get(60.0)
        assert item is not None
        found.append(item)
    for each in threads:
        each.join(60)
    assert handover.flush(0)
    assert queue.get(0) is None
    assert all([number for thread, number in found if thread == one] == list(range(200)) for one in range(3))
