"""The endpoint that agents' hooks call: judges reads here, asks the server about everything else.

Way in: `endpoint.create_app`. One call goes payload → credentials → sessions → gate → answers; results and
reads that need no answer go through the spool and are delivered later.
"""
