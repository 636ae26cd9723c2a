"""edge.yaml of the card's FAT partition: what it says, and its text without secrets. Nothing here touches the box."""

import yaml

MOVED = "(moved to the box)"


class Unusable(ValueError):
    """The file says nothing that could be used."""


def parse(text):
    # A card that was pulled out of a computer too early has a file of no bytes, or of zeros: that is no wish for nothing.
    if not text.strip("\0 \t\r\n"):
        raise Unusable("it is empty")
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Unusable(str(error))
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Unusable("a list of `name: value` lines is expected")
    return found


def is_set(value):
    return value is not None and value != "" and value != {} and value != []


def secrets(settings, names):
    """What stands in the settings under names of secrets, as the text of a file each. None: it was moved before."""
    found = {}
    for key, value in settings.items():
        key = str(key).lower()
        if key not in names or not is_set(value):
            continue
        if value == MOVED:
            found[key] = None
        elif isinstance(value, dict):
            found[key] = "".join(f"{name}={word};" for name, word in value.items())
        else:
            found[key] = str(value)
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
    root = yaml.compose(text, Loader=yaml.SafeLoader)
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
