"""The records that cross a file boundary, and the hash that keys a unit of work.

All are frozen dataclasses. Axes: T trajectory tokens, P prefixes, A answer tokens. Unknown is None, never 0 or NaN.
"""

from raml.records.base import (
    SCHEMA_VERSION,
    Engine,
    Finish,
    IntervalMethod,
    Kind,
    Mode,
    Scorer,
    Target,
    Text,
    Verdict,
    hash_key,
)
from raml.records.efficiency import Attempt, Method
from raml.records.evaluation import Comparison, Estimate, Evaluation, Score
from raml.records.influence import Influence, InfluenceSettings, Resampling, ResamplingSettings
from raml.records.landscapes import Landscape, LandscapePoint, LandscapeSettings, Plane, PlanePath
from raml.records.manifest import FileEntry, Manifest, StageManifest
from raml.records.probes import Readout, ReadoutSettings, Trace, TraceSettings
from raml.records.questions import CodeTests, PromptSettings, Question
from raml.records.studies import Finding, NotedStep, Rule, StudyResult, StudyScale, StudyVerdict
from raml.records.trajectories import ModelIdentity, SamplingSettings, Trajectory
from raml.records.updates import Adaptation, AdaptSettings, Alignment, AlignmentSettings, Update, UpdateSettings

__all__ = [
    "SCHEMA_VERSION",
    "AdaptSettings",
    "Adaptation",
    "Alignment",
    "AlignmentSettings",
    "Attempt",
    "CodeTests",
    "Comparison",
    "Engine",
    "Estimate",
    "Evaluation",
    "FileEntry",
    "Finding",
    "Finish",
    "Influence",
    "InfluenceSettings",
    "IntervalMethod",
    "Kind",
    "Landscape",
    "LandscapePoint",
    "LandscapeSettings",
    "Manifest",
    "Method",
    "Mode",
    "ModelIdentity",
    "NotedStep",
    "Plane",
    "PlanePath",
    "PromptSettings",
    "Question",
    "Readout",
    "ReadoutSettings",
    "Resampling",
    "ResamplingSettings",
    "Rule",
    "SamplingSettings",
    "Score",
    "Scorer",
    "StageManifest",
    "StudyResult",
    "StudyScale",
    "StudyVerdict",
    "Target",
    "Text",
    "Trace",
    "TraceSettings",
    "Trajectory",
    "Update",
    "UpdateSettings",
    "Verdict",
    "hash_key",
]
