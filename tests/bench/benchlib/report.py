"""From samples to percentiles, ratios, a table and a document."""

import math

# What must hold at the median: (ours, peer, at most). Like with like: programs that stay open against a program that
# stays open (ctr has none of its own), command lines against command lines, and the same confinement: ours have Docker's
# seccomp profile, which costs the runtime 5 to 10 ms to compile; ctr has one when it is asked for it. None: only shown.
GOALS = [
    ("libpouch embed://, resident", "ctr run --rm", 1.0),
    ("pouch -H embed:// run --rm", "ctr run --rm --seccomp", 1.0),
    ("pouch -H embed:// run --rm", "ctr run --rm", None),
    ("libpouch unix://, resident", "docker-py", 0.5),
    ("docker-py, on pouchd", "docker-py", 0.5),
    ("pouch -H unix:// run --rm", "docker run --rm", 0.5),
    ("docker run --rm, on pouchd", "docker run --rm", 0.5),
]


def percentile(values, percent):
    """The nearest-rank percentile: always one of the values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def summary(samples):
    """Milliseconds, from the seconds of single containers and of whole batches."""
    latencies = [seconds for batch in samples for seconds in batch]
    return {
        "samples": len(latencies),
        "p50_ms": round(percentile(latencies, 50) * 1000, 2),
        "p95_ms": round(percentile(latencies, 95) * 1000, 2),
        "min_ms": round(min(latencies) * 1000, 2),
    }


def ratios(results):
    """The goals against one runtime's results at one concurrency, {peer: summary}."""
    found = []
    for ours, peer, limit in GOALS:
        if ours in results and peer in results:
            value = results[ours]["p50_ms"] / results[peer]["p50_ms"]
            found.append({"ours": ours, "peer": peer, "p50": round(value, 3), "at_most": limit,
                          "met": limit is None or value <= limit})
    return found


def table(runtime, by_concurrency):
    """Text of one runtime's results: {concurrency: {peer: summary}}."""
    counts = list(by_concurrency)
    names = list(by_concurrency[counts[0]])
    width = max(len(name) for name in names)
    heads = "".join(f"{f'{count} at a time':>22}" for count in counts)
    units = "".join(f"{'p50 ms':>14}{'p95':>8}" for _ in counts)
    lines = [f"{runtime:<{width}}{heads}", f"{'':<{width}}{units}"]
    for name in names:
        cells = "".join("{p50_ms:>14.1f}{p95_ms:>8.1f}".format(**by_concurrency[count][name]) for count in counts)
        lines.append(f"{name:<{width}}{cells}")
    return "\n".join(lines)


def goal_lines(count, found):
    return [f"  {'ok  ' if ratio['met'] else 'OVER'} {ratio['p50']:5.2f} ({_limit_text(ratio['at_most'])}), "
            f"{count} at a time: {ratio['ours']} / {ratio['peer']}" for ratio in found]


def _limit_text(limit):
    return "no goal" if limit is None else f"at most {limit:.1f}"
