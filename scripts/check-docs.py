#!/usr/bin/env python3
"""The documents tell the truth, as far as a program can see: check-docs.py BUILD

- a path of this tree that a document names exists
- each folder with sources has a README, and a short one
- the examples (blocks marked console) give the output that they show
- each program's --help, its manual page and the completions name the same options
Prints each thing that does not hold and fails.
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.abspath(sys.argv[1])
PATH = re.compile(r"(?<![\w./-])((?:docs|scripts|guest|tests|vm|caps|cache|sched|batch|rpc|loaders|bench|cmake|include)/"
                  r"[\w./-]+\.(?:md|sh|py|c|h|cpp|txt|ndjson|zst|pml|1|map|ld|in))(?![\w*])")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
problems = []


def problem(text):
    problems.append(text)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def tree():
    """Files of the project, without build folders and hidden ones."""
    for folder, folders, files in os.walk(ROOT):
        folders[:] = sorted(f for f in folders if not f.startswith((".", "build")) and f != "__pycache__")
        for name in sorted(files):
            yield os.path.relpath(os.path.join(folder, name), ROOT)


def check_paths(document, text):
    here = os.path.dirname(document)
    for line_number, line in enumerate(text.splitlines(), 1):
        for path in PATH.findall(line):
            if not any(os.path.exists(os.path.join(ROOT, base, path)) for base in ("", here)):
                problem(f"{document}:{line_number}: {path} does not exist")
        for link in LINK.findall(line):
            if not os.path.exists(os.path.join(ROOT, here, link)):
                problem(f"{document}:{line_number}: the link {link} leads nowhere")


def check_examples(document, text):
    """Runs the commands of console blocks as they stand, with the build folder in the place of build/."""
    for block in re.findall(r"^```console\n(.*?)^```", text, re.M | re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, shown = part.partition("\n")
            real = command.replace("build/", os.path.relpath(BUILD, ROOT) + "/")
            done = subprocess.run(["bash", "-c", real], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True, check=False)
            if done.stdout != shown:
                problem(f"{document}: $ {command}\n  shows\n{shown}\n  but gives\n{done.stdout}{done.stderr}")


def check_readmes(files):
    folders = {os.path.dirname(f) for f in files
               if f.endswith((".c", ".h", ".cpp", ".py", ".sh", ".cmake", ".md", ".pml"))}
    for folder in sorted(folders - {""}):
        depth = folder.count("/")
        own = depth == 0 or (depth == 1 and folder.startswith("tests/"))
        owner = folder
        while not own and owner and not os.path.exists(os.path.join(ROOT, owner, "README.md")):
            owner = os.path.dirname(owner)
        readme = os.path.join(owner, "README.md")
        if not os.path.exists(os.path.join(ROOT, readme)):
            problem(f"{readme} is missing")
        elif owner != "docs" and read(readme).count("\n") > 30:
            problem(f"{readme} is longer than a README of a folder should be")


def options_of(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text))


def check_options():
    programs = {"javm-batch": "batch/javm-batch", "javm-vectors": "batch/javm-vectors",
                "javm-link": "loaders/javm-link", "javm-cc": "loaders/javm-cc",
                "javm-nubd": "rpc/javm-nubd", "javm-nub": "rpc/javm-nub"}
    for name, path in programs.items():
        command = [os.path.join(BUILD, path), "--help"]
        if name == "javm-cc":
            command.insert(0, "sh")
        text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        helped = options_of(text)
        page = read(f"docs/man/{name}.1").replace("\\-", "-")
        paged = options_of(re.sub(r"Fl -", "--", page))
        for option in sorted(helped ^ paged):
            where = "its manual page does not" if option in helped else "--help does not"
            problem(f"{name} {option}: {where} name it")
        for shell in (f"{name}.bash", f"_{name}", f"{name}.fish"):
            completion = read(f"scripts/completions/{shell}")
            for option in sorted(options_of(re.sub(r"^\S.*", "", text, flags=re.M))):  # prose names others' options, too
                if option not in completion and f"-l {option[2:]}" not in completion:
                    problem(f"scripts/completions/{shell} lacks {option}")


def main():
    files = list(tree())
    for document in (f for f in files if f.endswith(".md")):
        text = read(document)
        check_paths(document, text)
        check_examples(document, text)
    check_readmes(files)
    check_options()
    for text in problems:
        print(text)
    print(f"{len(problems)} problems in the documents")
    return 1 if problems else 0


sys.exit(main())
