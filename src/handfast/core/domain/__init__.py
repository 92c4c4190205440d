"""Brief, task, run, step, action, handoff, decision, grant, agent and reviewer.

Lives here: the closed union of events, `decide` (command to events) and `evolve` (event to state),
ids and errors.

May enter: the allowed standard modules. Nothing else of the core: everything there rests on this.
"""
