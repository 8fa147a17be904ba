from moderation import timelines


def frames(*scores):
    return [{"index": 3 * place, "time": place / 2, "score": score} for place, score in enumerate(scores)]


def test_the_most_suspicious_frame_is_shown():
    assert timelines.best(frames(0.1, 0.7, 0.7, 0.2)) == 3


def test_a_still_and_pages_without_a_time_show_their_first():
    assert timelines.best([]) == 0
    assert timelines.best([{"index": 0, "time": None, "score": 0.1}, {"index": 4, "time": None, "score": 0.9}]) == 0


def test_a_strip_goes_through_the_clip_and_holds_its_worst_frame():
    told = frames(*(0.9 if place == 17 else place / 100 for place in range(30)))
    strip = timelines.strip(told)
    assert len(strip) == timelines.STRIP
    assert strip == sorted(strip, key=lambda frame: frame["index"])
    assert 51 in {frame["index"] for frame in strip}
    assert timelines.strip(told[:3]) == told[:3]
    assert timelines.strip([]) == []
