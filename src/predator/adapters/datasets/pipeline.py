"""The two files of a DVC pipeline: the stage as written, the hashes as locked."""

from __future__ import annotations

import io

from predator.domain.errors import IntegrityError


def pipeline(name: str, command: str, inputs: str, output: str) -> bytes:
    """A ``dvc.yaml`` two folders below the root, with all its paths relative to the root."""
    from ruamel.yaml import YAML

    stage = {"cmd": command, "wdir": "../..", "deps": [inputs], "outs": [output]}
    stream = io.BytesIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 1 << 16
    yaml.dump({"stages": {name: stage}}, stream)
    return stream.getvalue()


def locked_md5(lock: bytes, output: str) -> str:
    """The MD5 under which DVC keeps ``output``, from the text of a ``dvc.lock``."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        stages = YAML(typ="safe").load(lock)["stages"]
        found = [
            out["md5"]
            for stage in stages.values()
            for out in stage["outs"]
            if out["path"] == output
        ]
        return str(found[0])
    except (YAMLError, LookupError, TypeError, AttributeError) as error:
        raise IntegrityError(f"the dvc.lock that should name {output} cannot be read") from error
