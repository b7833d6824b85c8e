"""Print the directory of the helm that chaosctl uses, for programs that look for one on the PATH."""

from chaosctl import config
from chaosctl.config import ToolboxSettings
from chaosctl.events import ignore
from chaosctl.toolbox import Toolbox

print(Toolbox(config.cache_dir(), ToolboxSettings(), ignore).ensure("helm")["helm"].parent)  # noqa: T201
