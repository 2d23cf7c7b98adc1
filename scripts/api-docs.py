#!/usr/bin/env python3
"""The reference of the C API, docs/api, from the comments of include/javm: api-docs.py [--check]

A comment at the beginning of a line is prose; the declarations behind it, up to the next such comment or empty line, are what it is about.
--check writes nothing and fails when a page is not what it would write.
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HEADERS = os.path.join(ROOT, "include", "javm")
PAGES = os.path.join(ROOT, "docs", "api")
NAME = re.compile(r"\b(javm_\w+)\s*\(")
TYPE = re.compile(r"^(?:typedef\s+)?(?:struct|enum|union)\s+(javm_\w+)\s*[{;]", re.M)
MACRO = re.compile(r"^#define\s+(JAVM_\w+)", re.M)
SKIPPED = re.compile(r"^#(?:if|ifdef|ifndef|else|elif|endif|include|undef)\b.*$|^extern \"C\" \{$|^\}$"
                     r"|^#define JAVM_\w+_H$|^#define javm_\w+\(.*|^__attribute__\(\(.*\)\)$")


def items(text):
    """(prose, code) in the order of the header; the first has no code and is about the whole."""
    prose, code = [], []
    lines = iter(text.splitlines())
    body = False  # inside the braces of a struct, enum or inline function
    for line in lines:
        if line.startswith("/*") and not body:
            comment = line
            while "*/" not in comment:
                comment += "\n" + next(lines)
            if code or prose:
                yield "\n\n".join(prose), "\n".join(code)
                prose, code = [], []
            text_of = re.sub(r"^/\*\s?|\s*\*/\s*$", "", comment)
            prose.append(re.sub(r"^ \* ?", "", text_of, flags=re.M).strip())
            continue
        if not body and SKIPPED.match(line):
            continue
        if not line and not body:
            if code:
                yield "\n\n".join(prose), "\n".join(code)
                prose, code = [], []
            continue
        if line.endswith("{"):
            body = True
        elif line.startswith("}"):
            body = False
        code.append(line)
    if prose or code:
        yield "\n\n".join(prose), "\n".join(code)


def names_of(code):
    flat = re.sub(r"/\*.*?\*/", "", code, flags=re.S)
    flat = re.sub(r"^static inline.*?^\}$", lambda m: m.group(0).split("{")[0], flat, flags=re.M | re.S)
    found = MACRO.findall(flat) + TYPE.findall(flat) + NAME.findall(flat)
    return list(dict.fromkeys(found))


def escaped(prose):
    """Comments are plain text but for what stands between backticks."""
    return "".join(part if i % 2 else re.sub(r"([*<])", r"\\\1", part) for i, part in enumerate(re.split(r"(`[^`\n]*`)", prose)))


def page(header):
    text = open(os.path.join(HEADERS, header), encoding="utf-8").read()
    parts = list(items(text))
    out = [f"# javm/{header}", "", "Made by scripts/api-docs.py from the header; do not edit.", ""]
    index = []
    for number, (prose, code) in enumerate(parts):
        names = names_of(code)
        if names:
            index += [(name, header) for name in names]
            out += ["## " + ", ".join(names[:4]) + (", ..." if len(names) > 4 else ""), ""]
        if prose:
            out += [escaped(prose), ""]
        if code.strip():
            out += ["```c", code, "```", ""]
    return "\n".join(out), index


def pages():
    made, index = {}, []
    headers = sorted(name for name in os.listdir(HEADERS) if name.endswith(".h"))
    for header in headers:
        made[header[:-2] + ".md"], names = page(header)
        index += names
    lines = ["# The C API", "", "Made by scripts/api-docs.py from include/javm; do not edit. docs/examples has two programs that use it.", ""]
    lines += [f"- [javm/{header}]({header[:-2]}.md)" for header in headers] + ["", "| name | header |", "|---|---|"]
    lines += [f"| `{name}` | [{header}]({header[:-2]}.md) |" for name, header in sorted(set(index))]
    made["index.md"] = "\n".join(lines) + "\n"
    return made


def main():
    check = sys.argv[1:] == ["--check"]
    made = pages()
    there = set(os.listdir(PAGES)) if os.path.isdir(PAGES) else set()
    bad = sorted(there - set(made))
    os.makedirs(PAGES, exist_ok=True)
    for name, text in made.items():
        path = os.path.join(PAGES, name)
        old = open(path, encoding="utf-8").read() if name in there else None
        if old != text:
            bad.append(name)
            if not check:
                open(path, "w", encoding="utf-8").write(text)
    for name in sorted(there - set(made)) if not check else []:
        os.remove(os.path.join(PAGES, name))
    if check and bad:
        print("docs/api is not what the headers say; run python3 scripts/api-docs.py: " + ", ".join(bad))
        return 1
    # What a reader would look for is there.
    exported = set(re.findall(r"\b(javm_\w+)\s*\(", "".join(made.values())))
    print(f"{len(made)} pages, {len(exported)} functions")
    return 0 if len(exported) > 50 else 1


sys.exit(main())
