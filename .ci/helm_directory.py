"""Print the directory of the helm that chaosctl uses, for programs that look for one on the PATH."""

from chaosctl import places
from chaosctl.config import ToolboxSettings
from chaosctl.events import ignore
from chaosctl.toolbox import Toolbox

print(Toolbox(places.cache_dir(), ToolboxSettings(), ignore).ensure("helm")["helm"].parent)  # noqa: T201
