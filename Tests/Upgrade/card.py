"""What the card makes of edge.yaml: its own program (`first-boot`), with its folders in a place of the tests' own."""

import os
import sys
import types

EDGE_YAML = """\
# A box in the field.
site_name: north-ridge
ssh_authorized_keys:
  - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHoi me@laptop
wifi:
  country: SE
  networks:
    - {ssid: hut, password: "long secret"}
ntp_servers: [ntp.se]
broker:
  listen_everywhere: false
firmware:
  - dtoverlay=w1-gpio
settings:
  api_token: "0123456701234567"   # as text
  listener_tokens:
    "*": s3cret
    north: 'hid: den'
  latitude: 62.1
  longitude: 14.9
  recording_format: flac
  keep_recordings: detections
  retention_max_age_days: 30
  node_allow: [co2:co2unit-30aea42a5140, "isems:*"]
  node_tokens: {"piwardrive:van7": token-of-van7}
  sensors:
    soil: ds18b20 path=/sys/bus/w1/devices/28-0123456789ab/w1_slave interval=300
  influx_url: http://influx.example:8181
  influx_token: token-of-influx
  s3_endpoint: https://s3.example
  s3_bucket: sounds
  s3_access_key: key
  s3_secret_key: token-of-s3
  upload_window: 22:00-06:00
  mqtt_host: broker.example
  mqtt_password: token-of-mqtt
  database_url: postgresql://user:token-of-postgres@db.example:5432/field
  prometheus_url: http://prometheus.example:9090/api/v1/write
  prom_pass: token-of-prometheus
  sentry_dsn: https://key@sentry.example/1
"""


def _load(card, program, folder):
    """`first-boot` of a version, with its places below `folder`. The build of the card fills in the names of secrets in the same way."""
    tools = f"{card}/tree/usr/lib/edge-card"
    with open(f"{tools}/first-boot") as file, open(f"{card}/secrets") as secrets:
        text = file.read().replace("@SECRETS@", " ".join(secrets.read().split()))
    text = text.replace("/boot/config", f"{folder}/config").replace("/data/system", f"{folder}/system")
    text = text.replace("/run/", f"{folder}/run/").replace("/usr/bin/edge-aggregator", program)
    sys.path.insert(0, tools)
    try:
        sys.modules.pop("edge_yaml", None)
        module = types.ModuleType("first_boot")
        exec(compile(text, "first-boot", "exec"), module.__dict__)
    finally:
        sys.path.pop(0)
    module.said = []
    module.say = module.said.append
    real = module.run
    module.run = lambda *words, **options: "" if words[0] in ("mount", "umount", "mosquitto_passwd", "chown") else real(*words, **options)
    return module


def start(card, program, folder):
    """One start of the card, as far as it can be had without a card. Returns what it says, and everything that it has made."""
    module = _load(card, os.path.abspath(program), folder)
    for name in ("system/secrets", "config", "run"):
        os.makedirs(f"{folder}/{name}", exist_ok=True)
    edge, text = module.read()
    for what, arguments in [(module.keys, [edge]), (module.wireless, [edge]), (module.broker, [edge])]:
        what(*arguments)
    is_taken = module.settings(edge, edge["site_name"])
    module.keep(edge)
    if is_taken and text is not None:
        module.blot(text)
    return {"said": module.said, "is_taken": is_taken, "made": made(folder)}


def made(folder):
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.relpath(f"{place}/{name}", folder)
            if not path.startswith("run/"):
                with open(f"{place}/{name}") as file:
                    # The file is kept where its folder is: only the rest of the path says something.
                    found[path] = file.read().replace(folder, "")
    return found


def first_start(card, program, folder):
    os.makedirs(f"{folder}/config")
    with open(f"{folder}/config/edge.yaml", "w") as file:
        file.write(EDGE_YAML)
    return start(card, program, folder)
