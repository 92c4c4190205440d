"""Rules, limits, requirements, routing and separation of duties: verdicts from facts.

Lives here: functions from facts about an action to a verdict and its reasons.

May enter: `core.domain`. Facts arrive as values; reading the command or the worktree is `observe`.
"""
