"""Supplies every program that chaosctl drives."""

from chaosctl.toolbox.toolbox import Toolbox, ToolReport

__all__ = ["ToolReport", "Toolbox"]
