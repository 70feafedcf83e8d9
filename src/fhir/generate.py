#!/usr/bin/env python3
"""Makes elements.txt from HL7's R4 definitions.

usage: generate.py DIR > elements.txt     DIR holds profiles-resources.json.gz and profiles-types.json.gz

One line a type: `Type Parent element element …`. An element is its name, `*` where it may repeat or `:` where
it may not, and its types joined by `|`; a choice element ends in `[x]`. A backbone element is a type of its
own, named by its path (`Patient.contact`), as is what a contentReference points at. Inherited elements are not
repeated: look them up in the parent.
"""
import gzip
import json
import sys

SYSTEM = "http://hl7.org/fhirpath/System."
# Primitive types of R5 that servers and constants of views use already.
LATER = ["integer64 Element"]
# Elements of R5 that maps between codes have already.
LATER_ELEMENTS = {
    "ConceptMap": ["sourceScope[x]:uri|canonical", "targetScope[x]:uri|canonical"],
    "ConceptMap.group.element": ["noMap:boolean"],
    "ConceptMap.group.element.target": ["relationship:code"],
}
# What a server added to the copy of the definitions that we have, and HL7's R4 has not.
FOREIGN = {f"Meta.{name}" for name in ("project", "author", "onBehalfOf", "account", "accounts", "compartment", "deleted")}


def definitions(folder):
    for name in ("profiles-types", "profiles-resources"):
        with gzip.open(f"{folder}/{name}.json.gz", "rt") as f:
            for entry in json.load(f)["entry"]:
                r = entry["resource"]
                if r["resourceType"] == "StructureDefinition" and r.get("derivation") != "constraint" and r["kind"] != "logical":
                    yield r


def type_names(element, path):
    if "contentReference" in element:
        return [element["contentReference"].lstrip("#")]
    names = []
    for t in element.get("type", []):
        code = t["code"]
        if code.startswith(SYSTEM):
            code = {"Resource.id": "id", "Extension.url": "uri"}.get(path, code[len(SYSTEM):].lower())
        if code in ("BackboneElement", "Element"):
            code = path
        names.append(code)
    return names


def lines(sd):
    own = {sd["type"]: []}
    parents = {sd["type"]: sd.get("baseDefinition", "").rsplit("/", 1)[-1] or "-"}
    for element in sd["snapshot"]["element"][1:]:
        path = element["path"]
        owner, name = path.rsplit(".", 1)
        if element.get("base", {}).get("path", path) != path:
            continue  # inherited
        if path in FOREIGN:
            continue
        if sd["kind"] == "primitive-type":
            continue  # the value itself
        types = type_names(element, path)
        for t in types:
            if t == path:
                own.setdefault(t, [])
                parents.setdefault(t, element["type"][0]["code"])
        own.setdefault(owner, []).append(f"{name}{':' if element['max'] in ('0', '1') else '*'}{'|'.join(types)}")
    for t, elements in own.items():
        yield " ".join([t, parents[t], *elements, *LATER_ELEMENTS.get(t, [])])


def main():
    out = list(LATER)
    for sd in definitions(sys.argv[1]):
        out.extend(lines(sd))
    print("\n".join(sorted(set(out))))


main()
