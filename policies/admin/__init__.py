"""The console's pages about deciding: policies are edited through a form, incidents are read and steered by verbs."""

from policies.admin.common_cause import CommonCauseAdmin
from policies.admin.incident import IncidentAdmin
from policies.admin.inhibition import InhibitionAdmin
from policies.admin.maintenance import MaintenanceAdmin
from policies.admin.policy import PolicyAdmin
from policies.admin.silence import SilenceAdmin

__all__ = ["CommonCauseAdmin", "IncidentAdmin", "InhibitionAdmin", "MaintenanceAdmin", "PolicyAdmin", "SilenceAdmin"]
