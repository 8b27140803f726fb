"""The queries by which the sources of a run are planned; `curation.sources.table.planning_tables` runs them.

Two rows are the same source if their `identity` is equal: a URL keeps its identity, a file's is the hash of its bytes.
Two sources are the same span if `video_id`, `first` and `until` are equal.
"""

from __future__ import annotations

from typing import Final

_IS_URL: Final = r"regexp_matches(source, '^[A-Za-z][A-Za-z0-9+.-]*://')"
_IDENTITY: Final = f"""
md5_number(concat_ws(chr(1), source, if({_IS_URL}, '', video_id),
                     coalesce(start, -1)::varchar, coalesce("end", -1)::varchar)) as identity,
video_id, coalesce(start, 0) as first, coalesce("end", 'infinity'::double) as until
"""

TABLES: Final = """
create table known (
    row bigint, shard integer, attempt integer, verdict varchar, overlap integer,
    is_url boolean, identity uhugeint, video_id varchar, first double, until double);
create table found (
    place bigint, excluded boolean, identity uhugeint, video_id varchar, first double, until double);
create table asked (identity uhugeint, video_id varchar, attempt integer);
create table again (place bigint, row bigint, video_id varchar, attempt integer, overlap integer);
create table fresh (place bigint, excluded boolean, video_id varchar, first double, until double, verdict varchar);
"""
"""`row` and `place` count the rows of the DIR and the sources of the run, from 0."""

ADD_KNOWN: Final = f"""
insert into known
select row, shard, attempt, verdict, overlap, {_IS_URL}, {_IDENTITY} from batch
"""  # noqa: S608  constants of this file
ADD_FOUND: Final = f"""
insert into found
select place, excluded, {_IDENTITY} from batch
"""  # noqa: S608
ADD_ASKED: Final = f"""
insert into asked
select identity, video_id, attempt from (select attempt, {_IDENTITY} from batch)
"""  # noqa: S608

CHOOSE_AGAIN: Final = """
insert into again
with latest as (
    select identity, video_id, min(row) as place, max({'attempt': attempt, 'row': row}) as last,
           arg_max(overlap, attempt) as overlap
    from known semi join asked using (identity, video_id) group by identity, video_id)
select place, last.row, video_id, last.attempt + 1, overlap
from latest semi join asked on latest.identity = asked.identity and latest.video_id = asked.video_id
     and latest.last.attempt = asked.attempt
"""
"""The sources to try again: the last attempts of those that were asked for, unless there is a later one."""

CHOOSE_FRESH: Final = """
insert into fresh
with taken as (select distinct video_id, first, until from known where verdict is null),
left_out as (  -- an earlier version took a span for a duplicate because it overlapped another one
    select row from known anti join taken using (video_id, first, until) where verdict = 'duplicate'),
there as (select identity from known anti join left_out using (row)),
places as (select min(place) as place from found group by identity),
unknown as (select found.* from found semi join places using (place) anti join there using (identity)),
spans as (
    select min(place) as place, video_id, first, until from unknown where not excluded group by video_id, first, until),
free as (select place from spans anti join taken using (video_id, first, until))
select u.place, u.excluded, u.video_id, u.first, u.until,
       case when u.excluded then 'excluded' when free.place is null then 'duplicate' end
from unknown u left join free on free.place = u.place
"""
"""The sources that the DIR does not hold: of several lines of one source the first, of several names the first."""

LIMIT_FRESH: Final = """
delete from fresh where place >= (select place from fresh where verdict is null order by place limit 1 offset ?)
"""

ADDED: Final = """
create view added as
select 0 as kind, place, video_id, null::double as first, null::double as until, null::varchar as verdict, attempt,
       overlap from again
union all
select 1, place, video_id, first, until, verdict, 1, null from fresh
"""
"""The rows to add, ordered by kind and place: further attempts come first."""

HEADS: Final = """
create table heads as
select video_id, min(kind * (1::bigint << 62) + place) as head from added where verdict is null
group by video_id having count(*) > 1
"""
"""The first place of each video with several rows to work on: they all go into its shard."""

ORDERED: Final = """
create view ordered as
select kind, place, if(own > head, head, own) as position, own, verdict is null as works
from (select *, kind * (1::bigint << 62) + place as own from added) left join heads using (video_id)
"""
IN_ORDER: Final = "select kind, place, position, works from ordered order by position, own"

SHARED_VIDEOS: Final = """
with news as (select place, video_id, first, until from fresh where verdict is null),
several as (
    select video_id from heads
    union (select video_id from news semi join (select video_id from known where verdict is null) using (video_id))),
numbered as (
    select distinct video_id, first, until, overlap, null::bigint as place from known where verdict is null
    union all select video_id, first, until, null, place from news)
select video_id, first, until, overlap, place from numbered semi join several using (video_id)
order by video_id, place nulls first
"""
"""The spans of videos of which there are several, those of the DIR with their numbers first."""

KNOWN_SHARDS: Final = """
select shard, count(*) filter (verdict is null) as working from known group by shard order by shard
"""
RETRIED_SHARDS: Final = """
with latest as (select identity, video_id, max(attempt) as last from known group by identity, video_id)
select shard from known join latest using (identity, video_id) where attempt < last
union select shard from known semi join again using (row)
"""
"""The shards with a source that has a later attempt in another one."""

ADDED_ROWS: Final = """
select w.source, w.video_id, w.start, w."end", p.shard, a.attempt, a.verdict, w.carried,
       coalesce(n.overlap, a.overlap, 1) as overlap
from placed p join added a using (kind, place) join wide w using (kind, place) left join numbers n using (kind, place)
order by p.number
"""
COUNT_KNOWN: Final = "select count(*) from known"
COUNT_LOCAL: Final = "select count(*) from known where verdict is null and not is_url"
COUNT_ADDED: Final = "select count(*) from added"
COUNT_WORK: Final = """
select (select count(*) from known where verdict is null) + (select count(*) from added where verdict is null)
"""
