"""How the card reads edge.yaml and takes secrets out of it, held against PyYAML's own reading."""

import os
import sys
import unittest

import yaml

sys.dont_write_bytecode = True
sys.path.insert(0, f"{os.path.dirname(os.path.abspath(__file__))}/../../image/card/tree/usr/lib/edge-card")
import edge_yaml  # noqa: E402

NAMES = {"api_token", "listener_tokens", "mqtt_password", "sentry_dsn"}


class Blotting(unittest.TestCase):
    def check(self, text, *hidden):
        result = edge_yaml.blotted(text, NAMES)
        for word in hidden:
            self.assertNotIn(word, result)
        before, after = (yaml.load(one, Loader=yaml.BaseLoader) for one in (text, result))
        for name, value in before.get("settings", {}).items():
            moved = name.lower() in NAMES and value != ""
            self.assertEqual(after["settings"][name], edge_yaml.MOVED if moved else value, result)
        self.assertEqual({k: v for k, v in before.items() if k != "settings"}, {k: v for k, v in after.items() if k != "settings"})
        self.assertEqual(edge_yaml.blotted(result, NAMES), result)
        return result

    def test_one_line(self):
        text = "site_name: a\nsettings:\n  api_token: s3cret   # mine\n  latitude: 3\n# end\n"
        self.assertEqual(self.check(text, "s3cret"), text.replace("s3cret", edge_yaml.MOVED))

    def test_blocks_flows_and_scalars_of_many_lines(self):
        self.check('settings:\n  listener_tokens:\n    "a": "s3cret"\n    "b": "hidden"\n  latitude: 3\n', "s3cret", "hidden")
        self.check("settings: {api_token: \"s3cret\", listener_tokens: {a: hidden,\n  c: d}, latitude: 2}\nwifi: {}\n", "s3cret", "hidden")
        self.check("settings:\n  api_token: |\n    s3cret\n    hidden\n  latitude: 3\n", "s3cret", "hidden")
        self.check("settings:\n  api_token: >-\n    s3cret\n    hidden\n", "s3cret", "hidden")
        self.check("settings:\n  listener_tokens: # of the ears\n    a: s3cret\n\n  latitude: 3\n", "s3cret")
        self.check("settings:\r\n  api_token: s3cret\r\n  latitude: 3\r\n", "s3cret")
        self.check("settings:\n  API_TOKEN: 's3cret: \"x\"'\n", "s3cret")

    def test_what_is_not_set_takes_nothing_with_it(self):
        text = "settings:\n  api_token:\n  latitude: 3\n  sentry_dsn: \"\"\n"
        self.check(text)
        self.assertEqual(edge_yaml.secrets(yaml.safe_load(text)["settings"], NAMES), {})

    def test_elsewhere_nothing_changes(self):
        text = "api_token: kept\nbroker: {users: {mqtt_password: kept}}\nsettings: {latitude: 1}\n"
        self.assertEqual(edge_yaml.blotted(text, NAMES), text)

    def test_what_cannot_be_taken_out_alone_is_left(self):
        with self.assertRaises(edge_yaml.Unusable):
            edge_yaml.blotted('settings:\n  api_token: &a "x"\n  mqtt_password: *a\n', NAMES)


class Reading(unittest.TestCase):
    def test_nothing_is_no_wish(self):
        for text in ("", " \n", "\0\0\0", "- a\n", "text", "{ not: [yaml", "a: b: c", "\x07", "a: !!int ''", "[" * 5000, "? [a]\n: b\n"):
            with self.assertRaises(edge_yaml.Unusable):
                edge_yaml.parse(text)
        self.assertEqual(edge_yaml.parse("# comments alone\n"), {})

    def test_values_are_the_text_that_stands_there(self):
        for text in ("0123456701234567", "12:34:56", "1_234_567", "1.50", "yes", "NO", "2026-11-22", "0x1F", "1e3", "true"):
            self.assertEqual(edge_yaml.parse(f"a: {text}\n"), {"a": text})
        self.assertEqual(edge_yaml.parse("a:\nb: ~\nc: null\n"), {"a": None, "b": None, "c": None})
        self.assertTrue(all(map(edge_yaml.is_yes, ("true", "Yes", "on", "1"))))
        self.assertFalse(any(map(edge_yaml.is_yes, ("false", "no", "off", "0", None, ""))))

    def test_secrets_are_files_of_text(self):
        with self.assertRaises(edge_yaml.Unusable):
            edge_yaml.secrets({"api_token": ["a"]}, NAMES)
        found = edge_yaml.secrets({"API_TOKEN": "12345", "listener_tokens": {"*": "a", "b": "c", "north": None},
                                   "mqtt_password": edge_yaml.MOVED, "latitude": "3", "sentry_dsn": None}, NAMES)
        self.assertEqual(found, {"api_token": "12345", "listener_tokens": "*=a;b=c;", "mqtt_password": None})


unittest.main()
