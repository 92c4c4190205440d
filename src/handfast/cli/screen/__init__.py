"""The inbox as a full-screen program: `handfast inbox --tui`. Needs the extra `tui` (textual).

Start at `app.Inbox`. It speaks to the server through the client's calls alone, and takes the rules of a decision
from the same table as the page (`server.web.decision_form`): what the page asks for is asked for here.
"""
