"""Scores of nomenklatura's logic-v2 for pairs of names, in an environment of its own (it needs PyICU).

Usage: ``PYTHON benchmarks/screening_logic_v2.py < pairs.jsonl > scores.json``, where PYTHON has nomenklatura installed.
A pair is ``[party name, listed name, entity type]``; ids are fresh for every pair, since the scorer caches by id. The
last member of the answer is the seconds that scoring took.
"""

import json
import sys
import time

from followthemoney.proxy import EntityProxy  # type: ignore[import-not-found]  # not in the project's environment
from nomenklatura.matching import get_algorithm  # type: ignore[import-not-found]  # not in the project's environment
from nomenklatura.matching.types import ScoringConfig  # type: ignore[import-not-found]  # not in the environment


def main() -> None:
    """Read pairs, print scores."""
    algorithm = get_algorithm("logic-v2")
    config = algorithm.default_config() if hasattr(algorithm, "default_config") else ScoringConfig.defaults()
    schemas = {"person": "Person", "organization": "Company"}
    scores, seconds = [], 0.0
    for number, line in enumerate(sys.stdin):
        party, name, kind = json.loads(line)
        one, two = (
            EntityProxy.from_dict({"id": f"{side}{number}", "schema": schema, "properties": {"name": [text]}})
            for side, schema, text in (("q", "LegalEntity", party), ("r", schemas.get(kind, "LegalEntity"), name))
        )
        began = time.process_time()
        scores.append(algorithm.compare(one, two, config).score)
        seconds += time.process_time() - began
    json.dump([*scores, seconds], sys.stdout)


if __name__ == "__main__":
    main()
