"""YAML in which a name may stand only once: of two, a reader would believe the first, YAML the second."""

from collections.abc import Hashable

import yaml


class UniqueKeys(yaml.SafeLoader):
    """Builds plain values only, like its parent; raises ConstructorError for a name that comes twice."""

    def construct_mapping(  # the signature is the parent's
        self,
        node: yaml.MappingNode,
        deep: bool = False,  # noqa: FBT001, FBT002
    ) -> dict[Hashable, object]:
        seen: set[str] = set()
        for name, _ in node.value:
            if isinstance(name, yaml.ScalarNode):
                if name.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"`{name.value}` stands here a second time", name.start_mark
                    )
                seen.add(name.value)
        return super().construct_mapping(node, deep=deep)
