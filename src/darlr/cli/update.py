"""`darlr update`: go on from a trained run with new events."""

from shlex import quote

from darlr.cli.data_options import SAYS_NO
from darlr.cli.options import Update
from darlr.data.log import EVENTS
from darlr.experiments.finished import open_run
from darlr.experiments.growth import grow, read_new
from darlr.experiments.process import configure
from darlr.experiments.progress import say
from darlr.experiments.update import announced, refuse_update, source_of, update_run


def run(options: Update) -> int:
    """Update the run; the exit code is 3 where the update is not promoted."""
    configure(options.threads)
    parent = open_run(options.run)
    refuse_update(parent)
    source, held = source_of(parent)
    columns = None if source.report is None else source.report.columns
    named = {name: getattr(options, name) for name in EVENTS}
    new = read_new(options.log, source, columns, named, options.users, options.items)
    growth = grow(source, held, new, options.update.gate)
    announced(growth)
    found = update_run(parent, growth, options.out, options.update, resume=options.resume, threads=options.threads)
    say(str(found.gate))
    out = quote(str(options.out))
    if found.gate.promoted:
        say(f"promoted; the update is in {out}; next: darlr serve {out}")
        return 0
    say(f"not promoted; the update is kept in {out}, and {quote(str(options.run))} is to be served further")
    return SAYS_NO
