"""Watching the model store: what lies under each model's base_path, as whole families of the scrape page.

    watch = RepositoryWatch(lambda: [Seen(each.group, each.targets) for each in fleet.read()], SystemClock())
    surface.pages.append(watch.page)
    watch.start()   # two threads; when the process ends: watch.stop()

`Seen` is one group of the configuration with the state of each of its targets by name; a `TargetState` of the poll
fits. The base paths come from the group's `model_config_file`, read anew with every scan; a group without one is left
out.
"""

from __future__ import annotations

from airbag_exporters.serving.repository.watch import RepositoryWatch
from airbag_exporters.serving.repository.watched import Seen

__all__ = ["RepositoryWatch", "Seen"]
