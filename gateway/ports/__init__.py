"""
The ports: what the drivers need from the world, and the values that cross between drivers.

Adapters satisfy these Protocols, drivers are written against them, bootstrap joins the two. The
values are plain and frozen. `record` is what is kept, `world` what is around, `people` what can be
asked and seen.
"""

from gateway.ports.people import (
    Command,
    CommandKind,
    Confirmations,
    Control,
    ControlView,
    FleetView,
    MirrorTraffic,
    MirrorView,
    ReplicaView,
    SystemView,
    WorkerState,
    WorkerView,
)
from gateway.ports.record import (
    SYSTEM_ACTOR,
    Actor,
    AuditCheck,
    AuditDraft,
    AuditEntry,
    Committed,
    Decision,
    DecisionDraft,
    Document,
    Event,
    EventDraft,
    MeasurementDraft,
    ReportSeverity,
    StateStore,
    StoredState,
    Transition,
    UserReport,
)
from gateway.ports.world import (
    Clock,
    FigureSource,
    Lease,
    Notice,
    Probe,
    ProbeResult,
)

__all__ = [
    "SYSTEM_ACTOR",
    "Actor",
    "AuditCheck",
    "AuditDraft",
    "AuditEntry",
    "Clock",
    "Command",
    "CommandKind",
    "Committed",
    "Confirmations",
    "Control",
    "ControlView",
    "Decision",
    "DecisionDraft",
    "Document",
    "Event",
    "EventDraft",
    "FigureSource",
    "FleetView",
    "Lease",
    "MeasurementDraft",
    "MirrorTraffic",
    "MirrorView",
    "Notice",
    "Probe",
    "ProbeResult",
    "ReplicaView",
    "ReportSeverity",
    "StateStore",
    "StoredState",
    "SystemView",
    "Transition",
    "UserReport",
    "WorkerState",
    "WorkerView",
]
