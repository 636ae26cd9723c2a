"""edge.yaml of the card's FAT partition: what it says, and its text without secrets. Nothing here touches the box."""

import yaml

MOVED = "(moved to the box)"


class Unusable(ValueError):
    """The file says nothing that could be used."""


class Loader(yaml.SafeLoader):
    """Every value as the text that stands there, as the daemon reads its settings: YAML would make 5744368105847 of the token
    0123456701234567, and false of Norway."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in forms if tag in ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")]
    for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()}


def parse(text):
    # A card that was pulled out of a computer too early has a file of no bytes, or of zeros: that is no wish for nothing.
    if not text.strip("\0 \t\r\n"):
        raise Unusable("it is empty")
    try:
        found = yaml.load(text, Loader=Loader)
    except Exception as error:  # Its own, and what deep nesting or odd tags make of it.
        raise Unusable(f"{type(error).__name__}: {error}")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Unusable("a list of `name: value` lines is expected")
    return found


def is_set(value):
    return value is not None and value != "" and value != {} and value != []


def is_yes(value):
    return str(value).lower() in ("true", "yes", "on", "1")


def secrets(settings, names):
    """What stands in the settings under names of secrets, as the text of a file each. None: it was moved before.

    Raises Unusable for one that is neither a value nor a map."""
    found = {}
    for key, value in settings.items():
        key = str(key).lower()
        if key not in names or not is_set(value):
            continue
        if value == MOVED:
            found[key] = None
        elif isinstance(value, dict):
            found[key] = "".join(f"{name}={word};" for name, word in value.items() if is_set(word))
        elif isinstance(value, str):
            found[key] = value
        else:
            raise Unusable(f"{key}: a value, or a map of names to values, is expected")
    return found


def end(node):
    """Where a node's last character is; a block's own mark is only at what follows it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return end(last[1] if isinstance(last, tuple) else last)
    return node.end_mark.index


def blotted(text, names):
    """The text with MOVED in the place of each secret under `settings`, and everything else as it was.

    Raises Unusable when it cannot be made so: the text must not be changed then."""
    spots, wanted = [], parse(text)
    root = yaml.compose(text, Loader=Loader)
    for key, value in root.value if isinstance(root, yaml.MappingNode) else []:
        if key.value != "settings" or not isinstance(value, yaml.MappingNode):
            continue
        for name, secret in value.value:
            if str(name.value).lower() in names and secret.value and secret.tag != "tag:yaml.org,2002:null":
                spots.append((secret.start_mark.index, end(secret)))
    result = text
    for start, stop in sorted(spots, reverse=True):
        body = result[start:stop]
        result = result[:start] + MOVED + body[len(body.rstrip()):] + result[stop:]
    settings = wanted.get("settings")
    if isinstance(settings, dict):
        wanted["settings"] = {
            key: MOVED if str(key).lower() in names and is_set(value) else value for key, value in settings.items()}
    if parse(result) != wanted:
        raise Unusable("its secrets cannot be taken out without changing more: write each on a line of its own")
    return result
