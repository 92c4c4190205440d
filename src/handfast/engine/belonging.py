"""Whether keys and database belong together, asked each time an installation is opened.

Two servers on one database must have the same keys: a wrong signing key would make every proof worthless, a
wrong data key would seal bodies that the others cannot open.
"""

import hashlib
import hmac

from handfast.core.domain.errors import IntegrityError
from handfast.core.domain.events import SYSTEM
from handfast.core.domain.installation import INSTALLATION_ID, Installation
from handfast.core.domain.person import Person
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.projections import KINDS, load
from handfast.storage.api import Credential, Query

DATA_KEY = "data-key"
_LABEL = b"handfast data key\x00"


def check_keys(kernel: Kernel, verifier: str, data_key: bytes) -> None:
    """Raises IntegrityError when one of the keys is not the one this log was started with."""
    state = kernel.state(Installation, INSTALLATION_ID)
    if state.verifier != verifier:
        raise _another("signing")
    print_of = hashlib.sha256(_LABEL + data_key).hexdigest()
    known = kernel.store.credential(DATA_KEY)
    if known is not None:
        if not hmac.compare_digest(known.secret, print_of):
            raise _another("data")
        return
    _opens_something(kernel)

    def work(unit: Unit) -> Result:
        unit.put_credential(Credential(DATA_KEY, "key", INSTALLATION_ID, print_of))
        return {}

    kernel.run(SYSTEM, work)


def _opens_something(kernel: Kernel) -> None:
    """A database of before has no print of its key: the name of a person must open."""
    for row in kernel.store.find(Query("person", newest_first=True, limit=1)):
        person = load(KINDS[Person], row.doc)
        if isinstance(person, Person):
            try:
                kernel.vault.open(person.name.body_id)
            except IntegrityError:
                raise _another("data") from None


def _another(which: str) -> IntegrityError:
    return IntegrityError(
        f"the {which} key is not the one this log was started with",
        hint="Point HANDFAST_HOME to the folder with the right keys: every server of a database has a copy of "
        "the same `keys/`. Nothing was written.",
    )
