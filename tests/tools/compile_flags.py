# SPDX-License-Identifier: MIT
"""The project's own compiler and flags, taken from the build's compile_commands.json."""
import json
import os
import shlex


def of(build, source_suffix):
    """The command that compiles the one source whose path ends in `source_suffix`, without its input and outputs."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        entries = json.load(file)
    for entry in entries:
        if not entry["file"].endswith(source_suffix):
            continue
        words, result = shlex.split(entry["command"]), []
        skip = False
        for word in words:
            if skip:
                skip = False
            elif word in ("-o", "-MF", "-MQ", "-MT", "-c"):
                skip = True
            elif word not in ("-MD", "-MMD", "-fpch-preprocess"):
                result.append(absolute(word, entry["directory"]))
        return [w for w in result if os.path.basename(w) != "ccache"]
    raise SystemExit(f"{build}/compile_commands.json knows no *{source_suffix}")


def absolute(word, directory):
    """Include folders are relative to the build folder."""
    if word.startswith("-I") and len(word) > 2 and not os.path.isabs(word[2:]):
        return "-I" + os.path.normpath(os.path.join(directory, word[2:]))
    return word


def is_clang(compiler):
    import subprocess
    text = subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=True).stdout
    return "clang" in text
