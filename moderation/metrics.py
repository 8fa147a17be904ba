"""Prometheus counters that more than one edge touches. Each edge exposes the registry in its own way."""

from prometheus_client import Counter, Gauge

accepted = Counter("unmask_submissions_accepted_total", "Submissions committed to the ledger", ["priority", "reused"])
rings_lost = Counter("unmask_rings_lost_total", "Orders that could not be sent because Redis was away", ["lane"])
told = Counter(
    "unmask_source_messages_total", "Messages of sources, by kind and what came of them", ["kind", "outcome"]
)
outcomes = Counter("unmask_submissions_finished_total", "Submissions that reached an outcome", ["outcome"])
limits_unshared = Counter("unmask_limits_unshared_total", "Limits counted by one process, because Redis was away")
decided = Counter("unmask_flags_decided_total", "Decisions of moderators", ["answer"])
attempts = Counter("unmask_delivery_attempts_total", "Attempts at outbound webhooks", ["outcome"])
fetches = Counter("unmask_fetches_total", "Attempts at bringing bytes from elsewhere", ["outcome"])
fetched_bytes = Counter("unmask_fetched_bytes_total", "Bytes brought from elsewhere")
fetching = Gauge("unmask_submissions_fetching", "Submissions to be fetched now", multiprocess_mode="mostrecent")
waiting = Gauge("unmask_submissions_waiting", "Submissions in the line", ["priority"], multiprocess_mode="mostrecent")
upkeep_age = Gauge(
    "unmask_upkeep_age_seconds", "Seconds since every chore of upkeep was last done", multiprocess_mode="mostrecent"
)
damaged = Counter("unmask_blobs_damaged_total", "Blobs whose bytes are not those of their digest", ["found"])
