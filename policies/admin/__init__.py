"""The console's pages about deciding: policies are edited through a form, incidents are read and steered by verbs."""

from policies.admin.incident import IncidentAdmin
from policies.admin.inhibition import InhibitionAdmin
from policies.admin.maintenance import MaintenanceAdmin
from policies.admin.policy import PolicyAdmin
from policies.admin.silence import SilenceAdmin

__all__ = ["IncidentAdmin", "InhibitionAdmin", "MaintenanceAdmin", "PolicyAdmin", "SilenceAdmin"]
