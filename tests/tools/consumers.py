#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A stranger's project can depend on again: installs it to a staging prefix and builds and runs tests/install/KIND.

    consumers.py SOURCE BUILD KIND...        KIND: meson (a subproject), cmake, pkg-config; exit 77 if the tool is absent

Also: what is installed is exactly what the folders list, and the installed files push no flag of ours on anyone.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

import compile_flags

ENV = dict(os.environ)


def run(*command, cwd=None, env=None):
    done = subprocess.run(command, cwd=cwd, env=env or ENV, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}\nexit {done.returncode}")
    return done.stdout


def stage(source, folder, kind):
    # CMake's package finds the headers wherever the two folders are.
    headers, data = ("headers/of", "share/more") if kind == "cmake" else ("include", "share")
    prefix = os.path.join(folder, "prefix")
    build = os.path.join(folder, "build")
    run("meson", "setup", build, source, "--prefix", prefix, "--includedir", headers, "--datadir", data, "-Dtests=disabled", "-Dexamples=disabled", "-Dbench=disabled")
    run("meson", "install", "-C", build, "--quiet")

    wanted = set()
    for where, _, names in os.walk(os.path.join(source, "include/again")):
        if "meson.build" in names:
            with open(os.path.join(where, "meson.build"), encoding="utf-8") as file:
                wanted |= set(re.findall(r"'(again/[^']+\.hpp)'", file.read()))
    include = os.path.join(prefix, headers)
    there = {os.path.relpath(os.path.join(w, n), include) for w, _, names in os.walk(include) for n in names}
    if wanted != there:
        sys.exit(f"installed headers differ from the list: {sorted(wanted ^ there)}")
    for name in ("again.pc", "again-http.pc", "again-sqlite.pc", "again-nats.pc", "againConfig.cmake"):
        for where, _, names in os.walk(prefix):
            if name in names:
                with open(os.path.join(where, name), encoding="utf-8") as file:
                    text = file.read()
                if re.search(r"-std=|-W[a-z]|-O\d", text):
                    sys.exit(f"{name} exports flags of our own build:\n{text}")
    return prefix


def stores(prefix):
    """Those whose libraries are here."""
    return [name for name in ("sqlite", "nats") if os.path.exists(os.path.join(prefix, "share", "pkgconfig", f"again-{name}.pc"))
            or os.path.exists(os.path.join(prefix, "share/more/pkgconfig", f"again-{name}.pc"))]


def meson_subproject(source, folder, prefix):
    project = os.path.join(folder, "project")
    shutil.copytree(os.path.join(source, "tests/install/meson"), project)
    shutil.copytree(os.path.join(source, "tests/install/src"), os.path.join(project, "src"))
    os.mkdir(os.path.join(project, "subprojects"))
    # A copy without build folders, as a wrap or a git submodule would bring it.
    shutil.copytree(source, os.path.join(project, "subprojects/again"),
                    ignore=shutil.ignore_patterns("build", ".git", ".cache", "__pycache__"))
    build = os.path.join(folder, "consumer")
    run("meson", "setup", build, project)
    run("meson", "compile", "-C", build)
    return [os.path.join(build, p) for p in ("core", "http", *stores(prefix))]


def cmake(source, folder, prefix):
    if not shutil.which("cmake"):
        print("no cmake here")
        sys.exit(77)
    project = os.path.join(folder, "project")
    shutil.copytree(os.path.join(source, "tests/install/cmake"), project)
    shutil.copytree(os.path.join(source, "tests/install/src"), os.path.join(project, "src"))
    build = os.path.join(folder, "consumer")
    run("cmake", "-G", "Ninja", "-S", project, "-B", build, f"-Dagain_DIR={prefix}/share/more/cmake/again")
    run("cmake", "--build", build)
    return [os.path.join(build, p) for p in ("core", "http", *stores(prefix))]


def pkg_config(source, folder, prefix):
    env = {**ENV, "PKG_CONFIG_PATH": os.path.join(prefix, "share/pkgconfig")}
    programs = []
    for name, module in (("core", "again"), ("http", "again-http"), *((s, "again-" + s) for s in stores(prefix))):
        flags = run("pkg-config", "--cflags", "--libs", module, env=env).split()
        program = os.path.join(folder, name)
        run(*ENV["CXX"].split(), "-std=c++20", os.path.join(source, f"tests/install/src/{name}.cpp"), "-o", program, *flags)
        programs.append(program)
    return programs


KINDS = {"meson": meson_subproject, "cmake": cmake, "pkg-config": pkg_config}


def main():
    source, build, kinds = os.path.abspath(sys.argv[1]), sys.argv[2], sys.argv[3:]
    ENV["CXX"] = compile_flags.of(build, "tests/odr/one.cpp")[0]
    for kind in kinds:
        with tempfile.TemporaryDirectory() as folder:
            prefix = stage(source, folder, kind)
            for program in KINDS[kind](source, folder, prefix):
                print(f"{kind}: {os.path.basename(program)} says: {run(program).strip()}")


main()
