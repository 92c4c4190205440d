"""Names of identifiers. They are drawn in `engine.ids`, never here."""

from typing import NewType

TaskId = NewType("TaskId", str)
RunId = NewType("RunId", str)
StepId = NewType("StepId", str)
HandoffId = NewType("HandoffId", str)
GrantId = NewType("GrantId", str)
StartId = NewType("StartId", str)
AgentId = NewType("AgentId", str)
PersonId = NewType("PersonId", str)
BodyId = NewType("BodyId", str)
TokenId = NewType("TokenId", str)
RunnerId = NewType("RunnerId", str)
EventId = NewType("EventId", str)
ProjectId = NewType("ProjectId", str)
ContactId = NewType("ContactId", str)
NoticeId = NewType("NoticeId", str)
