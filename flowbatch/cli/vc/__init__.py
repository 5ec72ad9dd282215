"""`flowbatch vc`: Volcano's `vcctl` and its one-shot relatives, verb by verb, flag by flag, column by column.

For fingers and scripts that know them; flowbatch's own verbs say more. What an error is, and which exit code it has, is
flowbatch's.
"""

from cyclopts import App

_PLACE = "flowbatch.cli.vc"

app = App(name="vc", help="Volcano's command line: vcctl, vsub, vjobs, vqueues, vcancel, vsuspend, vresume.")
for _name, _place, _help in (
    ("job", "job:app", "vcctl command line operation job"),
    ("queue", "queue:app", "Queue Operations"),
    ("jobflow", "flows:jobflow", "vcctl command line operation jobflow"),
    ("jobtemplate", "flows:jobtemplate", "vcctl command line operation jobtemplate"),
    ("pod", "pod:app", "vcctl command line operation pod"),
    ("version", "short:version", "Print the version information"),
    ("vsub", "short:vsub", "submit a job"),
    ("vjobs", "short:vjobs", "view or list jobs"),
    ("vqueues", "short:vqueues", "view or list queues"),
    ("vcancel", "short:vcancel", "cancel a job"),
    ("vsuspend", "short:vsuspend", "suspend a job"),
    ("vresume", "short:vresume", "resume a job"),
):
    app.command(f"{_PLACE}.{_place}", name=_name, help=_help)
