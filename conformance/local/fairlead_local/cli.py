"""The commands of conformance/cluster and conformance/image."""
import argparse
import os
import subprocess
import sys
from pathlib import Path

from . import clusters, image, node
from .paths import Problem, say

USAGE = """conformance/cluster [--existing [--load COMMAND] | --kind NAME] COMMAND

  up                  start the cluster; installs and builds what is missing, does nothing if it runs
  down                end it; leaves no process, mount or namespace
  status              its processes, nodes and pods; exit code 1 if something is down
  check               only install packages, and say what this machine lacks to host the cluster
  install             the same, and build programs
  load-image FILE…    load image archives (docker or OCI), or those that conformance/image makes, by name
  kubectl …           kubectl with this cluster
  exec COMMAND…       a command where the cluster's addresses answer, with KUBECONFIG set

Everything is in target/cluster (or $CLUSTER_DIR): bin, images, log, kubeconfig."""


def cluster(arguments):
    parser = argparse.ArgumentParser(
        prog="conformance/cluster", usage=USAGE, add_help=True, formatter_class=argparse.RawTextHelpFormatter
    )
    clusters.add_options(parser)
    parser.add_argument("command", choices=["up", "down", "status", "check", "install", "load-image", "kubectl", "exec"])
    parser.add_argument("words", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    chosen = clusters.chosen(options)
    words = options.words[1:] if options.words[:1] == ["--"] else options.words
    match options.command:
        case "up":
            if not chosen.up():
                say(f"{chosen.name} is up already")
        case "down":
            if not chosen.down():
                say("nothing to end")
        case "status":
            return show(chosen)
        case "check":
            node.check()
        case "install":
            node.install()
        case "load-image":
            load(chosen, words)
        case "kubectl":
            return replace(chosen, chosen.kubectl(*words))
        case "exec":
            if not words:
                raise Problem("exec what?")
            return replace(chosen, chosen.command(words))
    return 0


def show(chosen):
    lines, well = chosen.status()
    print("\n".join(lines), flush=True)
    if well:
        for what in (["nodes"], ["pods", "-A"]):
            print(flush=True)
            subprocess.run(chosen.kubectl("get", *what), env=chosen.environment())
    return 0 if well else 1


def load(chosen, words):
    if not words:
        raise Problem(f"load-image what? A file, or one of {', '.join(image.KNOWN)}")
    for word in words:
        archive = image.make(word) if word in image.KNOWN else Path(word)
        if not archive.is_file():
            raise Problem(f"no file {word}, and no image of that name (there are {', '.join(image.KNOWN)})")
        chosen.load(archive)
        say(f"loaded {archive.name}")


def replace(chosen, command):
    """Becomes the command, so that signals and the exit code are its own."""
    try:
        os.execvpe(command[0], command, chosen.environment())
    except FileNotFoundError:
        raise Problem(f"no command {command[0]}") from None


def images(arguments):
    parser = argparse.ArgumentParser(
        prog="conformance/image", description="Makes container images without Docker, as archives in target/cluster/images."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, maker in image.KNOWN.items():
        known = commands.add_parser(name, help=maker.__doc__)
        if name == "fairlead":
            known.add_argument("--binary", help="default $FAIRLEAD_BIN or target/release/fairlead")
    files = commands.add_parser("files", help="an image of your own, from files")
    files.add_argument("archive", type=Path)
    files.add_argument("reference", help="like docker.io/library/mine:dev")
    files.add_argument("entrypoint")
    files.add_argument("files", nargs="+", metavar="FILE[:PATH]", help="PATH inside, default /NAME")
    files.add_argument("--user", default=f"{image.USER}:{image.USER}")
    files.add_argument("--libraries", action="store_true", help="add the shared libraries that the files need")
    options = parser.parse_args(arguments)
    if options.command == "files":
        archive = own_image(options)
    elif options.command == "fairlead":
        archive = image.fairlead(options.binary)
    else:
        archive = image.KNOWN[options.command]()
    print(archive)
    return 0


def own_image(options):
    contents = dict(image.identity())
    for word in options.files:
        outside, _, within = word.partition(":")
        if not Path(outside).is_file():
            raise Problem(f"no file {outside}")
        contents[within or f"/{Path(outside).name}"] = Path(outside)
        if options.libraries:
            contents.update(image.shared_libraries(outside))
    return image.Image([options.reference], [options.entrypoint], contents, user=options.user).write(options.archive)


def main(command):
    """Runs a command; a Problem is one message and exit code 1."""
    try:
        code = command(sys.argv[1:])
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read has seen enough, as `head` does. What is left goes nowhere, at the exit too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Problem as problem:
        say(problem)
        return 1
    except KeyboardInterrupt:
        return 130
