#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes a header of a page of HTML, with the Content-Security-Policy that allows its one style and its one script by their hashes.

    embed_page.py PAGE HEADER
"""
import base64
import hashlib
import re
import sys

POLICY = ("default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; img-src data:; base-uri 'none'; "
          "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")


def hash_of(page, element):
    (text,) = re.findall(rf"<{element}>(.*?)</{element}>", page, re.S)  # one of them
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def faults(page):
    markup = re.sub(r"<(script|style)>.*?</\1>", "", page, flags=re.S)
    if re.search(r"\s(on\w+|style)\s*=", markup):
        yield "a handler or a style in an attribute, which the policy refuses"
    if re.search(r"(?:src|href)\s*=\s*[\"'](?!data:|#)", page):
        yield "it loads something"
    if re.search(r"\.(innerHTML|outerHTML|insertAdjacentHTML)|document\.write|\beval\(", page):
        yield "text of others could become markup: use textContent"


def main(source, header):
    with open(source, encoding="utf-8", newline="") as file:
        page = file.read()
    found = list(faults(page))
    if found:
        sys.exit("\n".join(f"{source}: {fault}" for fault in found))
    policy = POLICY.format(script=hash_of(page, "script"), style=hash_of(page, "style"))
    parts = [page[i:i + 8192] for i in range(0, len(page), 8192)]  # compilers bound the length of one literal
    with open(header, "w", encoding="utf-8") as file:
        file.write("#pragma once\n#include <string_view>\nnamespace programs {\n")
        file.write("inline constexpr std::string_view status_page_html =\n" + "\n".join(f'R"page({part})page"' for part in parts) + ";\n")
        file.write(f'inline constexpr std::string_view status_page_policy = "{policy}";\n}}\n')


main(*sys.argv[1:])
