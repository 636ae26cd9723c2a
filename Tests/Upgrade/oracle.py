"""What must be there, and what is: the senders' and the endpoints' own notes against the device's files, database and API."""

import base64
import collections
import datetime
import hashlib
import json
import math
import os
import struct

import senders
from box import NAME


class Difference(Exception):
    """Something was lost, or is there twice, or has changed."""


# MARK: - What a device has

def snapshot(box):
    """What the API says."""
    nodes = box.get("/api/v1/nodes")["nodes"]
    return {
        "recordings": box.pages("recordings"), "ledger": box.pages("ledger"), "detections": box.pages("detections"),
        "coverage": box.get("/api/v1/coverage")["listeners"],
        "listeners": sorted(row["id"] for row in box.get("/api/v1/listeners")["listeners"]),
        "nodes": {f"{row['kind']}/{row['id']}": {name: row.get(name) for name in ("name", "state", "admission")} for row in nodes},
        "outbox": box.outbox()}


def files(base):
    """What is kept as files: its size and hash."""
    found = {}
    for part in ("recordings", "remote_data", "var", "piwardrive"):
        for place, _, names in os.walk(f"{base}/{part}"):
            for name in names:
                with open(f"{place}/{name}", "rb") as file:
                    content = file.read()
                found[os.path.relpath(f"{place}/{name}", base)] = [len(content), hashlib.sha256(content).hexdigest()]
    return found


def facts(box, name="edge.db"):
    """What the database holds, by the oracle's own reading."""
    database = box.database(name)

    def rows(sql):
        return [list(row) for row in database.execute(sql)]
    observations = rows("SELECT o.id, s.source, s.quantity, o.time_ns FROM observations o JOIN series s ON s.id = o.series_id")
    for number, kind, node, columns, time, numbers in rows(
            "SELECT r.id, n.kind, n.name, l.columns, r.time_ns, hex(r.numbers) FROM readings r JOIN nodes n ON n.id = r.node_id "
            "JOIN layouts l ON l.id = r.layout_id"):
        values = struct.unpack(f"<{len(numbers) // 16}d", bytes.fromhex(numbers))
        for column, value in zip(columns.split(","), values):
            if not math.isnan(value):
                observations.append([number, f"{kind}/{node}", column.rsplit(" ", 1)[0], time, value])
    found = {
        "schema": rows("SELECT identifier FROM grdb_migrations ORDER BY rowid"),
        "least_reader": rows("PRAGMA user_version")[0][0],
        "recordings": rows("SELECT id, name, listener_id, state, analysis, frames, bytes FROM recordings"),
        "recorded_by_older": [name for name, in rows("SELECT name FROM recordings WHERE NOT guessed")]
        if any(column[1] == "guessed" for column in rows("PRAGMA table_info(recordings)")) else [],
        "detections": rows("SELECT id, listener_id, start_ns, scientific_name, recording_name FROM detections"),
        "ledger": rows("SELECT id, listener_id, kind, reason, start_ns, duration_ns, frames, bytes FROM ledger"),
        "observations": observations,
        "metrics": rows("SELECT id, time_ns FROM metric_batches"),
        "deliveries": rows("SELECT id, sink, kind, first_id, last_id, state, error FROM deliveries"),
        "totals": rows("SELECT sink, kind, done, refused, shed FROM delivery_totals"),
        "node_files": rows("SELECT n.kind || '/' || n.name, f.path, f.parsed_bytes FROM node_files f JOIN nodes n ON n.id = f.node_id")}
    database.close()
    return found


# MARK: - Facts at endpoints

def _micros(time):
    seconds, nanoseconds = divmod(time, 1_000_000_000)
    text = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{nanoseconds // 1000:06}Z"


def _tag(text):
    return "".join("\\" + letter if letter in ", =" else letter for letter in text)


class Wanted:
    """The keys that each endpoint must have once, by the facts of a database. `still` are those of rows that wait."""

    def __init__(self, facts):
        self.keys = {sink: {} for sink in ("influx", "s3", "mqtt", "prometheus", "postgres")}
        self.states = collections.defaultdict(dict)
        for _, sink, kind, first, last, state, _ in facts["deliveries"]:
            for number in range(first, last + 1):
                self.states[sink, kind][number] = state
        for number, listener, start, species, _ in facts["detections"]:
            self.add("influx", "detections", number, ("detections", listener, species, start))
            self.add("mqtt", "detections", number, ("detections", listener, species, start // 1000))
            self.add("postgres", "detections", number, ("edge_detections", f"{listener} {start} {species}"))
        for number, listener, kind, reason, start, _, _, _ in facts["ledger"]:
            if kind not in ("shed", "privacy"):
                self.add("influx", "coverage", number, ("coverage", listener, f"{kind}/{reason.split(':')[0]}", start))
                self.add("postgres", "coverage", number, ("edge_coverage", f"{number} {listener} {kind} {start}"))
        for number, source, quantity, time, *_ in facts["observations"]:
            point = ("health", NAME, "", time) if source == "board" else ("observations", source, quantity, time)
            self.add("influx", "observations", number, point)
            self.add("mqtt", "observations", number, ("observations", source, quantity, time // 1000))
            self.add("postgres", "observations", number, ("edge_observations", f"{source} {quantity} {time}"))
        for number, name, listener, state, analysis, _, _ in facts["recordings"]:
            if analysis == "done":
                self.add("influx", "analysis", number, ("analysis", listener, name, 0))
                self.add("postgres", "analysis", number, ("edge_recordings", name))
            if state == "closed":
                self.add("influx", "upload", number, ("uploads", listener, name, 0))
                self.add("s3", "recording", number, f"/bucket/boxes/{NAME}/{listener}/{name}")

    def add(self, sink, kind, number, key):
        state = self.states[sink, kind].get(number)
        if kind == "upload" and state is None:
            # It is made when the file has been delivered.
            state = self.states["s3", "recording"].get(number)
        self.keys[sink][key] = state


def _key(sink, text):
    """The key of a delivery, from what an endpoint noted."""
    if sink == "influx":
        head, time = text.rsplit(" ", 1)
        parts, part = [], ""
        letters = iter(head)
        for letter in letters:
            if letter == "\\":
                part += next(letters)
            elif letter == ",":
                parts.append(part)
                part = ""
            else:
                part += letter
        table, tags = (parts + [part])[0], dict(tag.split("=", 1) for tag in (parts + [part])[1:])
        if table == "detections":
            return table, tags["listener_id"], tags["species"], int(time)
        if table == "coverage":
            return table, tags.get("listener_id", ""), f"{tags['kind']}/{tags['reason']}", int(time)
        if table == "observations":
            return table, tags["source"], tags["quantity"], int(time)
        if table in ("analysis", "uploads"):
            return table, tags["listener_id"], tags["filename"], 0
        return table, tags["aggregator_uuid"], "", int(time)
    if sink == "mqtt":
        kind, _, rest = text.partition(" ")
        if kind == "detections":
            listener, start, species, _ = rest.split("|")
            return kind, listener, species, _nanoseconds(start) // 1000
        source, _, rest = rest.rpartition("|")
        time, quantity = rest.split(" ", 1)
        return kind, source, quantity, _nanoseconds(time) // 1000
    return text


def _nanoseconds(text):
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (int(moment.timestamp() // 1) * 1_000_000 + moment.microsecond) * 1000


class Arrivals:
    """How often each fact has arrived at each endpoint."""

    def __init__(self, events, rows):
        self.taken, self.lost, self.refused, self.hashes = (collections.defaultdict(collections.Counter) for _ in range(4))
        for sink, text, content, answer in events:
            key = _key(sink, text)
            {"ok": self.taken, "exists": self.taken, "lost": self.lost, "refused": self.refused}[answer][sink][key] += 1
            if sink in ("influx", "s3"):
                self.hashes[sink, key][content] += 1
        for life in rows:
            for table, keys in life.items():
                for key in keys:
                    self.taken["postgres"][table, key] += 1


def moved(arrivals, facts):
    """What has left under a time that the device has changed since. 5510d06 delivered gaps before they were final
    (docs/decisions/0023-gaps-are-final-with-their-run.md): this is its fault, and no later version can mend it."""
    wanted = Wanted(facts)
    strangers = {(sink, key) for sink, keys in wanted.keys.items() if sink != "prometheus" for key in arrivals.taken[sink] if key not in keys}
    missing = {(sink, key) for sink, keys in wanted.keys.items() if sink != "prometheus" for key, state in keys.items()
               if state is None and not arrivals.taken[sink][key] and key[0] in ("coverage", "detections", "edge_coverage", "edge_detections")}
    return strangers | missing


def check_arrivals(arrivals, facts, refused_is_taken, excused=frozenset(), kills=0):
    """Every fact of the database is at every endpoint once, but for those that wait for another chance. A kill between an answer and the
    note of it repeats what was on its way, with the same key and content."""
    wanted, told, count = Wanted(facts), [], 0
    for sink, keys in wanted.keys.items():
        if sink == "prometheus":
            continue
        for key, state in keys.items():
            if (sink, key) in excused:
                continue
            # Rows of one moment may be one point: where another row of it waits, it may have come already, or not.
            found, was_lost = arrivals.taken[sink][key], arrivals.lost[sink][key]
            count += found
            if state is None and found == 0:
                told.append(f"{sink}: {key} was lost")
            if state is not None and found > 0 and key[0] not in ("health",):
                told.append(f"{sink}: {key} is at the endpoint and still {state}")
            if found > 1 + kills and not was_lost and key[0] != "health":
                told.append(f"{sink}: {key} came {found} times")
            if state == "refused" and refused_is_taken:
                told.append(f"{sink}: {key} is still refused")
        strangers = set(arrivals.taken[sink]) - set(keys)
        told += [f"{sink}: {key} is no fact of the device" for key in strangers if (sink, key) not in excused]
    # 5510d06 told of recordings before their times were final (see `moved`), and again when an answer was lost. This version guesses
    # the first run of each session, so it marks all recordings of streams.
    older = set(facts.get("recorded_by_older", ()))
    for (sink, key), contents in arrivals.hashes.items():
        if key[0] == "analysis" and key[2] in older:
            continue
        if len(contents) > 1 and key[0] not in ("health", "uploads"):
            told.append(f"{sink}: {key} came with {len(contents)} contents")
    for key, found in arrivals.taken["prometheus"].items():
        if found > 1 and not arrivals.lost["prometheus"][key]:
            told.append(f"prometheus: the moment {key} came {found} times")
    return told, count


# MARK: - What was sent

def check_sent(box, sent, before=None):
    """Everything that was acknowledged is there, byte for byte, once. `before`: files that must be as they were."""
    told = []
    now = files(box.base)
    for path, (size, digest) in (before or {}).items():
        if path not in now:
            told.append(f"the file {path} is gone")
        elif path.startswith("recordings/") and now[path] != [size, digest] and not is_open(box, path):
            told.append(f"the file {path} was changed")
        elif is_open(box, path) and now[path][0] < size // 2 * 2:
            told.append(f"the file {path} was being written; it had {size} bytes and has {now[path][0]}")
    facts_now = facts(box)
    names = {row[1]: row for row in facts_now["recordings"]}
    if len(names) != len(facts_now["recordings"]):
        told.append("a recording stands twice in the database")
    for upload in sent["uploads"]:
        path = f"recordings/{upload['listener']}/{upload['name']}"
        if now.get(path, [0, ""])[1] != upload["sha256"] or upload["name"] not in names:
            told.append(f"the upload {path} is not there as it was sent")
    told += _check_streams(box, sent)
    told += _check_nodes(box, sent, facts_now, now)
    return told


def is_open(box, path):
    return os.path.basename(path) in box.open_names


def _check_streams(box, sent):
    """The recordings of each listener's streams, in their order, make up what was sent."""
    told = []
    database = box.database()
    uploads = {upload["name"] for upload in sent["uploads"]}
    sessions = collections.defaultdict(lambda: collections.defaultdict(list))
    for listener, session, name, path in database.execute(
            "SELECT listener_id, session_id, name, relative_path FROM recordings WHERE session_id IS NOT NULL "
            "AND source NOT LIKE '%upload%' ORDER BY id"):
        if name not in uploads:
            with open(f"{box.base}/recordings/{path}", "rb") as file:
                content = file.read()
            if struct.unpack_from("<I", content, 40)[0] != len(content) - 44:
                told.append(f"{name}: its header says {struct.unpack_from('<I', content, 40)[0]} bytes, and it has {len(content) - 44}")
            sessions[listener][session].append(content[44:])
    database.close()
    found = {listener: sorted((b"".join(parts) for parts in own.values()), key=len) for listener, own in sessions.items()}
    for stream in sent["streams"]:
        sound, own = base64.b64decode(stream["sound"]), found.get(stream["listener"], [])
        fit = [one for one in own if _is_like(one, sound[:len(one)] if not stream["is_acknowledged"] else sound, stream["is_unsure"])]
        if fit:
            own.remove(fit[-1])
        elif stream["is_acknowledged"]:
            told.append(f"{stream['listener']}: a stream of {len(sound)} bytes is not there as it was sent; there are {[len(one) for one in own]}")
    for listener, own in found.items():
        if own:
            told.append(f"{listener}: {len(own)} streams that were not sent, of {[len(one) for one in own]} bytes")
    return told


def _is_like(found, sound, is_unsure):
    """Whether it is the sound. 5510d06 has overwritten beginnings of frames (docs/decisions/0022-bytes-by-place.md): what it has kept is held
    against its own files, byte for byte, and against what was sent by its length and most of its bytes."""
    if not is_unsure or len(found) != len(sound):
        return found == sound
    return sum(a != b for a, b in zip(found, sound)) <= len(sound) // 2


def _check_nodes(box, sent, facts_now, now):
    told = []
    values = collections.Counter((row[1], row[2], round(row[4], 6)) for row in facts_now["observations"] if len(row) > 4)
    unit = sent["unit"]
    path = f"remote_data/{unit['id']}/data/readings/readings-0000.tsv"
    if unit["acknowledged"]:
        model = senders.Unit(unit["id"], unit["acknowledged"], unit["lines"])
        with open(f"{box.base}/{path}", "rb") as file:
            content = file.read()
        if not content.startswith(model.content[:unit["acknowledged"]]) or not model.content.startswith(content):
            told.append(f"{path} is not the unit's file")
        whole = content.count(b"\n")
        for number in range(unit["lines"]):
            found = values[f"co2/{unit['id']}", "temperature", round(model.temperature(number), 6)]
            if found != (1 if number < whole else 0):
                told.append(f"line {number} of the unit {'is not in the store' if not found else f'is in the store {found} times'}")
    for message in sent["isems"]:
        found = values[f"isems/{message['node']}", "battery_voltage", round(message["voltage"], 6)]
        if found != 1:
            told.append(f"the message {message} is in the store {found} times")
    for record in sent["piwardrive"]:
        found = values[f"piwardrive/{record['unit']}", "cpu", round(record["cpu"], 6)]
        if found != 1:
            told.append(f"the record {record} is in the store {found} times")
    return told


def check_same(before, after, is_clean):
    """What the API said stays so: rows may be added, none may change."""
    told = []
    for kind, key in (("recordings", "name"), ("ledger", "id"), ("detections", "id")):
        old, new = ({row.get(key, json.dumps(row)): row for row in one[kind]} for one in (before, after))
        for name, row in old.items():
            if name not in new:
                told.append(f"{kind}: {name} is gone")
            elif any(new[name].get(field) != value for field, value in row.items() if field in new[name]):
                changed = {field: (value, new[name].get(field)) for field, value in row.items() if new[name].get(field) != value}
                told.append(f"{kind}: {name} was changed: {changed}")
        if is_clean and len(new) > len(old):
            told.append(f"{kind}: {len(new) - len(old)} rows more than before")
    if not set(before["listeners"]) <= set(after["listeners"]):
        told.append(f"listeners: {before['listeners']} are {after['listeners']}")
    for node, row in before["nodes"].items():
        if after["nodes"].get(node) != row:
            told.append(f"nodes: {node} was {row} and is {after['nodes'].get(node)}")
    if is_clean:
        old, new = ({row["listener"]: row for row in one["coverage"]} for one in (before, after))
        for listener, row in old.items():
            # 5510d06 counts sound twice where two recordings overlap. What was heard may be told anew, if one of both adds up.
            said = new.get(listener, {})
            same = {name: value for name, value in row.items() if name not in ("accounted_seconds", "heard_seconds")}
            adds_up = any(abs(one.get("accounted_seconds", 0) - one.get("spanned_seconds", 1)) < 1e-6 for one in (row, said))
            # Two readings of two clocks lie some nanoseconds apart.
            span = same.pop("spanned_seconds")
            is_same = abs(said.get("spanned_seconds", 0) - span) < 1e-4 and all(said.get(name) == value for name, value in same.items())
            if not is_same or (said != row and not adds_up):
                told.append(f"coverage: {listener} was {row} and is {said}")
    return told


def check_outbox(before, after):
    """Every delivery that waited or was refused still is, under its number."""
    told = []
    rows = {row["id"]: row for state in after.values() for row in state}
    for number, sink, kind, first, last, state, error in before:
        row = rows.get(number)
        if row is None or (row["sink"], row["kind"], row["first_id"]) != (sink, kind, first) or row["last_id"] < last:
            told.append(f"delivery {number} ({sink} {kind} {first}-{last}, {state}) is now {row}")
        elif (state == "refused") != (row["state"] == "refused") or (state == "refused" and row["error"] != error):
            told.append(f"delivery {number} was {state} ({error}) and is {row['state']} ({row['error']})")
    return told


def describe(expected):
    sent, states = expected["sent"], collections.Counter(row[5] for row in expected["database"]["deliveries"])
    return (f"{len(sent['streams'])} streams, {len(sent['uploads'])} uploads, {sent['unit']['lines']} lines of a unit, {len(sent['isems'])} messages, "
            f"{len(sent['piwardrive'])} databases, {len(expected['database']['recordings'])} recordings, "
            f"{len(expected['database']['detections'])} detections; deliveries {dict(states)}, {len(expected['events'])} events at endpoints")
