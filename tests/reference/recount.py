"""Two indicators of Synthea's patients, counted again by the reference.

`python -m tests.reference.recount DATE FILE...` prints the counts as JSON. Synthea's patients have
neither an episode nor a general practitioner, so the source is declared register-all.
"""

import json
import sys
from datetime import date

from .evaluator import Practice
from .reading import load

INDICATORS = ("bp-htn-u80", "dm-hba1c-58")


def recount(files, as_of, practice="A99001"):
    """{indicator: {denominator, numerator, met, miss, exception, excluded, patients}}.

    `patients` is {patient: [status, denominator, numerator]} for those not out.
    """
    documents = [document for file in files for document in load(file)]
    answer = Practice(documents, practice, register_all=True).at(as_of)
    return {
        indicator: {
            **answer["indicators"][indicator],
            "patients": {
                patient: results[indicator]
                for patient, results in answer["patients"].items()
                if indicator in results
            },
        }
        for indicator in INDICATORS
    }


if __name__ == "__main__":
    print(json.dumps(recount(sys.argv[2:], date.fromisoformat(sys.argv[1])), indent=1))
