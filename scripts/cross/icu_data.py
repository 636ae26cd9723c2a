#!/usr/bin/env python3
"""icu_data.py INPUT.dat OUTPUT.dat: the data of ICU with English alone, as the daemon needs it: 4 MB in the place of 32.

The Swift runtime has the data of all languages, for dates, numbers, currencies and names of countries. The daemon writes its log, pages and files
in one form, whatever the language of the machine: no other language is ever looked up. ICU falls back to its root locale.
Rules of transliteration (translit/) and converters of old encodings are left out too.

The format (ICU, common/ucmndata.h and common/unicode/udata.h, little-endian): a header of `headerSize` bytes; then the count of items,
for each the offsets of its name and of its data from the end of the header, sorted by name; the names; the data, aligned to 16 bytes.
"""

import re
import struct
import sys

#: Names of locales that are kept, in each of the trees (the root of the package, curr/, lang/, region/, unit/, zone/, coll/, brkitr/, rbnf/).
LOCALES = {"root", "en", "en_US", "en_US_POSIX", "en_001", "en_GB"}
#: Items that are no locale's: tables of properties, normalization, time zones, calendars, and what the trees themselves need.
TABLES = re.compile(r".*\.(nrm|icu|spp)|(pool|res_index|supplementalData|zoneinfo64|timezoneTypes|windowsZones|metaZones|likelySubtags|metadata|"
                    r"numberingSystems|plurals|pluralRanges|dayPeriods|genderList|icuver|icustd|keyTypeData|langInfo|currencyNumericCodes|units|"
                    r"grammaticalFeatures|tzdbNames|ucadata|char|word|line|line_normal|sent|title)\.(res|brk|icu)")


def items(data):
    """[(name, bytes)] of a package, and its header."""
    size, magic = struct.unpack_from("<HH", data)
    if magic != 0x27DA or data[12:16] != b"CmnD" or data[8] != 0:
        sys.exit("icu_data: this is not ICU data in little-endian order")
    count, = struct.unpack_from("<I", data, size)
    table = [struct.unpack_from("<II", data, size + 4 + 8 * number) for number in range(count)]
    ends = [offset for _, offset in table[1:]] + [len(data) - size]
    found = []
    for (name_at, at), end in zip(table, ends):
        name = data[size + name_at:data.index(0, size + name_at)].decode()
        found.append((name, data[size + at:size + end]))
    return found, data[:size]


def is_kept(name):
    """`name` as in "icudt74l/curr/en.res"."""
    leaf = name.split("/")[-1]
    if "/translit/" in name:
        return False
    return bool(TABLES.fullmatch(leaf)) or leaf.rsplit(".", 1)[0] in LOCALES


def package(kept, header):
    names, table, at = b"", [], 4 + 8 * len(kept)
    for name, _ in kept:
        table.append(at + len(names))
        names += name.encode() + b"\0"
    position = at + len(names)
    position += -(len(header) + position) % 16
    body, offsets = bytearray(), []
    for _, data in kept:
        offsets.append(position + len(body))
        body += data + bytes(-len(data) % 16)
    toc = struct.pack("<I", len(kept)) + b"".join(struct.pack("<II", *pair) for pair in zip(table, offsets))
    toc += names
    return header + toc + bytes(position - len(toc)) + bytes(body)


def main():
    source, target = sys.argv[1:]
    with open(source, "rb") as file:
        data = file.read()
    found, header = items(data)
    kept = [item for item in found if is_kept(item[0])]
    with open(target, "wb") as file:
        file.write(package(kept, header))
    print(f"icu_data: {len(kept)} of {len(found)} items, {sum(len(data) for _, data in kept)} of {len(data)} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
