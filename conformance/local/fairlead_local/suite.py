"""conformance/run: the upstream suite against Fairlead on a cluster, from nothing to a report and back."""
import argparse
import json
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from . import build, clusters, image, report
from .events import Events
from .paths import DIR, LOG, REPORTS, ROOT, SUITE, Problem, say

VERSION = "v1.7.0"
CLASS = "fairlead"
NAMESPACE = "fairlead-system"
# The suite has up to two dozen Gateways at once. With the chart's requests, the CPUs of a small node would be given away before.
PROXIES = {"resources": {"requests": {"cpu": "10m", "memory": "32Mi"}}}
PROFILES = "GATEWAY-HTTP,GATEWAY-GRPC,GATEWAY-TLS,GATEWAY-TCP,GATEWAY-UDP"
# With --quick: a test that will fail should do so before one looks away. In seconds.
QUICK = {
    "GatewayMustHaveAddress": 20,
    "GatewayMustHaveCondition": 20,
    "GatewayStatusMustHaveListeners": 15,
    "GatewayListenersMustHaveConditions": 15,
    "ListenerSetMustHaveCondition": 15,
    "ListenerSetListenersMustHaveConditions": 15,
    "GWCMustBeAccepted": 15,
    "HTTPRouteMustNotHaveParents": 15,
    "HTTPRouteMustHaveCondition": 15,
    "TLSRouteMustHaveCondition": 15,
    "TCPRouteMustHaveCondition": 15,
    "UDPRouteMustHaveCondition": 15,
    "RouteMustHaveParents": 15,
    "MaxTimeToConsistency": 12,
    "NamespacesMustBeReady": 90,
    "LatestObservedGenerationSet": 15,
    "DefaultTestTimeout": 15,
}


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="conformance/run", description="Runs the upstream conformance suite against Fairlead; see conformance/README.md.",
        epilog="Arguments after -- go to the suite as they are (conformance/run -- -debug).",
    )  # fmt: skip
    clusters.add_options(parser)
    add = parser.add_argument
    add("--only", metavar="TEST[,TEST]", help="only these tests")
    add("--skip", metavar="TEST[,TEST]", help="all but these tests")
    add(
        "--features", default="claimed", metavar="claimed|all|NAME[,NAME]",
        help="which optional features to test: those in the GatewayClass's status (default), all, or these",
    )  # fmt: skip
    add("--profiles", default=PROFILES, help=f"default {PROFILES}")
    add("--channel", choices=("experimental", "standard"), default="experimental", help="of the Gateway API's CRDs (default experimental)")
    add("--delay", metavar="RANGE", help="delay each push and each status write at random, like 1ms..50ms")
    add("--install", metavar="FILE|DIR|none", help="manifests that install Fairlead; default: rendered from the chart")
    add("--image", metavar="FILE|none", help="image archive to load; default: made from target/release/fairlead")
    add("--quick", action="store_true", help="short timeouts, for development: what fails fails soon")
    add("--parallel", type=int, metavar="N", help="how many of the parallel tests run at once (default: the CPUs)")
    add("--stop", action="store_true", help="stop at the first failure and leave everything as it is; implies --keep")
    add("--keep", action="store_true", help="leave the cluster up (one that was up before is left up anyway)")
    add("--report", type=Path, metavar="FILE", help=f"default {REPORTS.relative_to(ROOT)}/{VERSION}.yaml ({VERSION}-standard.yaml) for a whole run, else target/cluster/report.yaml")
    add("--expect", type=Path, metavar="FILE", help="fail also if the report says anything else than this one, but for its date")
    add("--version", default=None, help="Fairlead's version in the report; default that of Cargo.toml")
    add("--timeout", default="60m", help="for the whole suite, as Go writes durations (default 60m)")
    add("suite_flags", nargs="*", metavar="-- FLAG", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def run(arguments):
    own, theirs = arguments, []
    if "--" in arguments:
        cut = arguments.index("--")
        own, theirs = arguments[:cut], arguments[cut + 1 :]
    options = parse(own)
    if options.delay and options.install:
        raise Problem("--delay is an option of the chart's controller: it does not go with --install")
    if options.expect and not options.expect.is_file():
        raise Problem(f"--expect: no file {options.expect}")
    if options.suite_flags:
        raise Problem(f"what is {shlex.join(options.suite_flags)}? Flags of the suite come after --")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cluster = clusters.chosen(options)
    began_here = cluster.up()
    try:
        prepare(cluster, options)
        passed = run_suite(cluster, options, theirs)
    finally:
        if began_here and not (options.keep or options.stop):
            cluster.down()
    return 0 if passed else 1


def prepare(cluster, options):
    build.program("suite.test")
    load_images(cluster, options)
    apply_crds(cluster, options.channel)
    remove_leftovers(cluster)
    install(cluster, options)


def load_images(cluster, options):
    elsewhere = isinstance(cluster, clusters.Existing) and not isinstance(cluster, clusters.Kind)
    if elsewhere and not cluster.loader:
        say("no --load: the cluster has to pull Fairlead's image and the suite's from registries")
        return
    cluster.load(image.make("echo"))
    if options.image != "none":
        cluster.load(Path(options.image) if options.image else image.make("fairlead"))


def module(name):
    return Path(build.go(["list", "-m", "-f", "{{.Dir}}", name], SUITE))


def apply_crds(cluster, channel):
    """Of exactly the suite's version, which it insists on."""
    folder = module("sigs.k8s.io/gateway-api") / "config" / "crd" / channel
    if folder.parts[-4].partition("@")[2] != VERSION:
        raise Problem(f"go.mod of {SUITE} has another Gateway API than {VERSION}: {folder}")
    path = r"jsonpath={.metadata.annotations.gateway\.networking\.k8s\.io/channel}"
    there = kubectl(cluster, "get", "crd", "gateways.gateway.networking.k8s.io", "--ignore-not-found", "-o", path)
    if there not in ("", channel):
        raise Problem(f"{cluster.name} has the {there} channel of the Gateway API: remove its CRDs first, or take a new cluster")
    files = [word for file in sorted(folder.glob("gateway.networking.*.yaml")) for word in ("-f", file)]
    kubectl(cluster, "apply", "--server-side", "--force-conflicts", *files)
    crds = kubectl(cluster, "get", "crd", "-o", "name").split()
    ours = [crd for crd in crds if "gateway.networking." in crd]
    kubectl(cluster, "wait", "--for=condition=Established", "--timeout=60s", *ours)


def remove_leftovers(cluster):
    """What an earlier run that was ended half-way left: the suite would wait for its Gateways, or trip over its objects."""
    manifests = [file.read_text() for folder in ("base", "tests") for file in (module("sigs.k8s.io/gateway-api/conformance") / folder).rglob("*.yaml")]
    names = {found for text in manifests for found in re.findall(r"^kind: Namespace\nmetadata:\n  name: (\S+)", text, re.M)}
    there = kubectl(cluster, "get", "namespaces", "-o", "name").split()
    left = sorted(names & {name.partition("/")[2] for name in there})
    if left:
        say(f"removing what an earlier run left: {', '.join(left)}")
        kubectl(cluster, "delete", "namespace", *left, "--timeout=120s")


def install(cluster, options):
    if options.install != "none":
        files = [Path(options.install)] if options.install else render(options.delay)
        for manifests in files:
            if not manifests.exists():
                raise Problem(f"--install: no {manifests}")
            say(f"applying {manifests}")
            kubectl(cluster, "apply", "--server-side", "--force-conflicts", "-R", "-f", manifests)
        wait_for_workloads(cluster, files)
    expect(cluster, "wait", "gatewayclass", CLASS, "--for=condition=Accepted", "--timeout=60s")


def wait_for_workloads(cluster, files):
    for manifests in files:
        applied = json.loads(kubectl(cluster, "get", "-R", "-f", manifests, "-o", "json"))
        for thing in applied.get("items", [applied]):
            if thing["kind"] in ("Deployment", "DaemonSet"):
                name, namespace = thing["metadata"]["name"], thing["metadata"]["namespace"]
                expect(cluster, "rollout", "status", f"{thing['kind']}/{name}", "-n", namespace, "--timeout=90s")


def expect(cluster, *arguments):
    """kubectl that waits for something of Fairlead's; if it never comes, what the cluster says about it is shown."""
    try:
        kubectl(cluster, *arguments)
    except Problem as problem:
        pods = kubectl(cluster, "get", "pods", "-A", "-o", "wide")
        events = kubectl(cluster, "get", "events", "-A", "--field-selector=type=Warning", "--sort-by=.lastTimestamp")
        raise Problem(f"Fairlead does not come up: {problem}\n{pods}\n{events}\npods' logs: {LOG}/pods") from None


def render(delay=None):
    """The chart's manifests, with the image that is loaded: its namespace, the CRDs, and all else."""
    tool, folder = ROOT / "charts" / "render", DIR / "install"
    if not tool.exists():
        raise Problem(f"no {tool} to render the chart: give manifests with --install FILE, or --install none")
    folder.mkdir(parents=True, exist_ok=True)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    (folder / "namespace.json").write_text(json.dumps(namespace))
    for name in ("crds", "no-crds"):
        with open(folder / f"{name}.yaml", "w") as file:
            command = [tool, f"--{name}", "-n", NAMESPACE, "--set", "image.tag=dev", "--set-json", f"proxy={json.dumps(PROXIES)}"]
            if delay:
                command += ["--set-json", f"extraArgs={json.dumps([f'--test-delay={delay}'])}"]
            done = subprocess.run(command, stdout=file, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise Problem(f"{tool}: {done.stderr.strip()}")
    return [folder / name for name in ("namespace.json", "crds.yaml", "no-crds.yaml")]


def run_suite(cluster, options, theirs):
    target, whole = report_path(options, theirs)
    target.parent.mkdir(parents=True, exist_ok=True)
    LOG.mkdir(parents=True, exist_ok=True)
    written = DIR / "report.new.yaml"
    written.unlink(missing_ok=True)
    command = cluster.command([build.program("suite.test"), *flags(cluster, options, written), *theirs])
    log = LOG / "suite.log"
    say(f"running the suite; everything it says goes to {log}")
    events, began = Events(lambda test: show(test)), time.monotonic()
    process = subprocess.Popen(
        command, env=cluster.environment(), cwd=DIR, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip
    try:
        with open(log, "w") as file:
            for line in process.stdout:
                file.write(events.plain(line))
                events.feed(line, time.monotonic())
        process.wait()
    finally:
        if process.poll() is None:
            process.kill()
    print("\n".join(report.summary(events, time.monotonic() - began, written)), flush=True)
    if written.exists():
        target.write_text(report.in_order(written.read_text()))
        say(f"report: {target}" + ("" if whole else " (of a part of the suite)"))
    passed = process.returncode == 0 and bool(events.of_result("PASS"))
    if passed and options.expect and (differences := report.differences(options.expect, written)):
        print("\n".join(["", "the report is not the expected one:", *differences]), flush=True)
        return False
    return passed


def flags(cluster, options, written):
    given = [
        "-test.v=test2json", f"-test.timeout={options.timeout}",
        f"-test.run=^TestConformance$" + (f"/^({options.only.replace(',', '|')})$" if options.only else ""),
        f"-gateway-class={CLASS}", f"-conformance-profiles={options.profiles}", f"-report-output={written}",
        "-organization=fairlead", "-project=fairlead", "-url=https://fairlead.dev", "-contact=https://fairlead.dev",
        f"-version={options.version or 'v' + image.version()}",
    ]  # fmt: skip
    usable, unusable = cluster.addresses
    if usable:
        given += [f"-usable-address={usable}", f"-unusable-address={unusable}"]
    if options.features == "all":
        mesh = [name for name in feature_names() if name.startswith("Mesh")]
        given += ["-all-features", f"-exempt-features={','.join(mesh)}"]
    elif options.features != "claimed":
        unknown = set(options.features.split(",")) - set(feature_names())
        if unknown:
            raise Problem(f"{VERSION} has no feature {', '.join(sorted(unknown))}")
        given.append(f"-supported-features={options.features}")
    if options.only and (unknown := [name for name in options.only.split(",") if name not in test_names()]):
        raise Problem(f"{VERSION} has no test {', '.join(unknown)}")
    if options.skip:
        given.append(f"-skip-tests={options.skip}")
    if options.quick:
        given.append("-timeout-config-overrides=" + ";".join(f"{name}:{seconds}" for name, seconds in QUICK.items()))
    if options.parallel:
        given.append(f"-test.parallel={options.parallel}")
    if options.stop:
        given += ["-fail-fast", "-cleanup-base-resources=false", "-cleanup-test-resources=false"]
    return given


def report_path(options, theirs):
    """Where the report goes, and whether it is that of the whole suite under upstream's conditions."""
    whole = not (options.only or options.skip or options.quick or options.stop or theirs) and options.profiles == PROFILES and options.features in ("claimed", "all")
    name = VERSION if options.channel == "experimental" else f"{VERSION}-{options.channel}"
    whole = whole and not options.delay
    return options.report or (REPORTS / f"{name}.yaml" if whole else DIR / "report.yaml"), whole


def feature_names():
    sources = (module("sigs.k8s.io/gateway-api") / "pkg" / "features").glob("*.go")
    return sorted({name for file in sources for name in re.findall(r'FeatureName = "(\w+)"', file.read_text())})


def test_names():
    sources = (module("sigs.k8s.io/gateway-api/conformance") / "tests").rglob("*.go")
    return {name for file in sources for name in re.findall(r'ShortName:\s+"(\w+)"', file.read_text())}


def show(test):
    if test.result == "SKIP":
        return
    word = {"PASS": "pass", "FAIL": "FAIL"}[test.result]
    print(f"{word}  {test.name:<60} {test.seconds:6.1f} s", flush=True)
    if test.result == "FAIL":
        print("".join(f"      {line}\n" for line in test.reason(4)), end="", flush=True)


def kubectl(cluster, *arguments):
    done = subprocess.run(cluster.kubectl(*map(str, arguments)), env=cluster.environment(), capture_output=True, text=True)
    if done.returncode != 0:
        raise Problem(f"kubectl {' '.join(map(str, arguments[:2]))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
